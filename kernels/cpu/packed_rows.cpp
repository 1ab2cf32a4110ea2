#include "kernels/cpu/packed_rows.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "kernels/coded_numbers.h"
#include "kernels/cpu/packing.h"
#include "kernels/quant_formats.h"

namespace sluice::kernels::cpu {
namespace {

constexpr int kWords = kBlockColumns / 4;

// One row's share of a vector: the codes of four columns.
using Word = std::uint32_t;

Word load_word(const std::byte* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
void store_word(std::byte* p, Word word) { std::memcpy(p, &word, sizeof word); }
Word every_byte(unsigned bits) { return bits * 0x01010101u; }

constexpr int kVectorBytes = kGroupRows * sizeof(Word);

template <int StoredBits>
void pack_codes(const std::array<Word, kWords>& words, std::byte* codes) {
  const auto vector = [&](int v) { return codes + v * kVectorBytes; };
  const auto bit_plane = [&](int bit, std::byte* plane) {
    Word sum = 0;
    for (int j = 0; j < kWords; ++j) sum |= (words[j] >> bit & every_byte(1)) << j;
    store_word(plane, sum);
  };
  const auto two_bit_planes = [&](int bit, std::byte* planes) {
    for (int p = 0; p < 2; ++p) {
      Word sum = 0;
      for (int i = 0; i < 4; ++i) sum |= (words[4 * p + i] >> bit & every_byte(3)) << 2 * i;
      store_word(planes + p * kVectorBytes, sum);
    }
  };
  if constexpr (StoredBits == 8) {
    for (int j = 0; j < kWords; ++j) store_word(vector(j), words[j]);
  } else if constexpr (StoredBits >= 4) {
    for (int i = 0; i < 4; ++i) {
      store_word(vector(i), (words[i] & every_byte(15)) | (words[i + 4] & every_byte(15)) << 4);
    }
    if constexpr (StoredBits == 5) bit_plane(4, vector(4));
    if constexpr (StoredBits == 6) two_bit_planes(4, vector(4));
  } else {
    two_bit_planes(0, vector(0));
    if constexpr (StoredBits == 3) bit_plane(2, vector(2));
  }
}

template <int StoredBits>
std::array<Word, kWords> unpack_codes(const std::byte* codes) {
  std::array<Word, kWords> words{};
  const auto vector = [&](int v) { return load_word(codes + v * kVectorBytes); };
  const auto add_bit = [&](int bit, Word plane) {
    for (int j = 0; j < kWords; ++j) words[j] |= (plane >> j & every_byte(1)) << bit;
  };
  const auto add_two_bits = [&](int bit, int first) {
    for (int j = 0; j < kWords; ++j) {
      words[j] |= (vector(first + j / 4) >> 2 * (j % 4) & every_byte(3)) << bit;
    }
  };
  if constexpr (StoredBits == 8) {
    for (int j = 0; j < kWords; ++j) words[j] = vector(j);
  } else if constexpr (StoredBits >= 4) {
    for (int j = 0; j < kWords; ++j) words[j] = vector(j % 4) >> j / 4 * 4 & every_byte(15);
    if constexpr (StoredBits == 5) add_bit(4, vector(4));
    if constexpr (StoredBits == 6) add_two_bits(4, 4);
  } else {
    add_two_bits(0, 0);
    if constexpr (StoredBits == 3) add_bit(2, vector(2));
  }
  return words;
}

// Where the parts of the blocks under one header lie. Byte: std::byte, const or not.
template <Packing P, class Byte>
struct Blocks {
  Byte* header;
  Byte* codes(int block) const { return header + P.header_bytes() + block * P.block_bytes(); }
  Byte* scales(int block) const { return codes(block) + P.code_bytes(); }
  Byte* halves(int block) const { return P.is_nested ? header : scales(block); }
};
template <Packing P>
inline constexpr std::size_t kBlocksBytes =
    P.header_bytes() + P.blocks_per_header() * P.block_bytes();

template <WeightType Type>
void pack_coded_row(std::span<const std::byte> row, int lane, std::byte* group) {
  constexpr Packing packing = kPacking<Type>;
  const auto put_byte = [lane](std::byte* sixteen, unsigned value) {
    sixteen[lane] = static_cast<std::byte>(value);
  };
  const auto put_half = [lane](std::byte* sixteen, std::uint16_t half) {
    std::memcpy(sixteen + lane * sizeof half, &half, sizeof half);
  };
  // Looked-up codes come as their index.
  constexpr int offset = packing.bits == packing.stored_bits ? packing.offset() : 0;
  CodedNumbers numbers{};
  for (std::size_t at = 0; at < row.size(); at += Format<Type>::kBlock.bytes) {
    read_numbers<Type, offset>(row.data() + at, numbers);
    const Blocks<packing, std::byte> to{group};
    for (int block = 0; block < packing.blocks_per_header(); ++block) {
      std::array<Word, kWords> words;
      std::memcpy(words.data(), &numbers.code[block * kBlockColumns], sizeof words);
      pack_codes<packing.stored_bits>(words, to.codes(block) + lane * sizeof(Word));
      if constexpr (packing.is_nested) {
        const unsigned s0 = numbers.scale_code[2 * block], s1 = numbers.scale_code[2 * block + 1];
        const unsigned m0 = numbers.minimum_code[2 * block];
        const unsigned m1 = numbers.minimum_code[2 * block + 1];
        const bool by_part = packing.part == 16;
        put_byte(to.scales(block), by_part && packing.has_minimum ? s0 | m0 << 4 : s0);
        put_byte(to.scales(block) + kGroupRows, !by_part              ? m0
                                                : packing.has_minimum ? s1 | m1 << 4
                                                                      : s1);
      }
      put_half(to.halves(block), numbers.scale[block]);
      if constexpr (packing.has_minimum) {
        put_half(to.halves(block) + 2 * kGroupRows, numbers.minimum[block]);
      }
    }
    group += kBlocksBytes<packing>;
  }
}

template <WeightType Type>
void unpack_coded_row(const std::byte* group, int lane, std::span<float> out) {
  constexpr Packing packing = kPacking<Type>;
  const auto half_at = [lane](const std::byte* sixteen) {
    std::uint16_t half;
    std::memcpy(&half, sixteen + lane * sizeof half, sizeof half);
    return half_to_float(half);
  };
  const auto value_of = [](int code) {
    if constexpr (Type == WeightType::iq4_nl) {
      return kIq4NlValues[code];
    } else {
      constexpr int offset = kPacking<Type>.offset();
      return code - offset;
    }
  };
  constexpr std::size_t columns = std::size_t{kBlockColumns} * packing.blocks_per_header();
  for (std::size_t at = 0; at < out.size(); at += columns, group += kBlocksBytes<packing>) {
    const Blocks<packing, const std::byte> from{group};
    for (int block = 0; block < packing.blocks_per_header(); ++block) {
      const auto words = unpack_codes<packing.stored_bits>(from.codes(block) + lane * sizeof(Word));
      std::array<std::uint8_t, kBlockColumns> codes;
      std::memcpy(codes.data(), words.data(), sizeof codes);
      const float half = half_at(from.halves(block));
      const float minimum =
          packing.has_minimum ? half_at(from.halves(block) + 2 * kGroupRows) : 0.0f;
      const auto byte_at = [&](int i) {
        return std::to_integer<int>(from.scales(block)[i * kGroupRows + lane]);
      };
      for (int i = 0; i < kBlockColumns; ++i) {
        float scale = half, taken = -minimum;
        if constexpr (packing.is_nested) {
          const int part = i / packing.part;
          const bool nibbles = packing.part == 16 && packing.has_minimum;
          const int scale_code = nibbles           ? byte_at(part) & 15
                                 : packing.centred ? static_cast<std::int8_t>(byte_at(part))
                                                   : byte_at(part);
          scale = half * static_cast<float>(scale_code);
          taken = minimum * static_cast<float>(nibbles ? byte_at(part) >> 4 : byte_at(1));
        }
        const float value = scale * static_cast<float>(value_of(codes[i]));
        out[at + block * kBlockColumns + i] = packing.has_minimum ? value - taken : value;
      }
    }
  }
}

}  // namespace

bool is_coded(WeightType type) {
  return with_format(type, []<WeightType Type>(Format<Type>) { return kIsCoded<Type>; });
}

std::size_t group_bytes(WeightType type, std::size_t cols) {
  return with_format(type, [cols]<WeightType Type>(Format<Type>) {
    constexpr Packing packing = kPacking<Type>;
    if constexpr (kIsCoded<Type>) {
      return cols / (kBlockColumns * packing.blocks_per_header()) * kBlocksBytes<packing>;
    } else {
      return cols * kGroupRows * Format<Type>::kBlock.bytes;
    }
  });
}

void pack_row(WeightType type, std::span<const std::byte> row, int lane, std::byte* group) {
  with_format(type, [&]<WeightType Type>(Format<Type>) {
    if constexpr (kIsCoded<Type>) {
      pack_coded_row<Type>(row, lane, group);
    } else {
      constexpr std::size_t size = Format<Type>::kBlock.bytes;
      std::byte* to = group + lane * size;
      for (std::size_t at = 0; at < row.size(); at += size, to += kGroupRows * size) {
        std::memcpy(to, row.data() + at, size);
      }
    }
  });
}

void unpack_row(WeightType type, const std::byte* group, int lane, std::span<float> out) {
  with_format(type, [&]<WeightType Type>(Format<Type>) {
    if constexpr (kIsCoded<Type>) {
      unpack_coded_row<Type>(group, lane, out);
    } else {
      constexpr std::size_t size = Format<Type>::kBlock.bytes;
      const std::byte* from = group + lane * size;
      for (float& value : out) {
        expand(Type, {from, size}, {&value, 1});
        from += kGroupRows * size;
      }
    }
  });
}

}  // namespace sluice::kernels::cpu
