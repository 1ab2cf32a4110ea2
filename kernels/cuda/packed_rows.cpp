#include "kernels/cuda/packed_rows.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/coded_numbers.h"
#include "kernels/quant_formats.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kBlockColumns = 32;

// Where a row lies in its group.
struct Place {
  int g, r;  // row g + 8 r
  int lane(int t) const { return 4 * g + t; }
};

// A pair of a block of 32 columns: its first column.
int column_of(int t, int pair) { return pair / 2 * 16 + 4 * t + pair % 2 * 2; }

template <class T>
void store(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
void add_bits(std::byte* at, std::uint32_t bits) {
  std::uint32_t word;
  std::memcpy(&word, at, sizeof word);
  store(at, word | bits);
}

template <Packing P>
void pack_codes(const std::uint8_t* codes, const Place& place, int block, std::byte* tile) {
  for (int t = 0; t < 4; ++t) {
    for (int pair = 0; pair < 4; ++pair) {
      const std::uint32_t first = codes[column_of(t, pair)], second = codes[column_of(t, pair) + 1];
      const int lane = place.lane(t);
      if constexpr (P.bits == 8) {
        std::byte* word = tile + 512 * block + lane * 16 + (2 * place.r + pair / 2) * 4;
        add_bits(word, (first | second << 8) << 16 * (pair % 2));
        continue;
      }
      const auto both = [&](std::uint32_t mask, int from, int to) {
        return ((first >> from & mask) | (second >> from & mask) << 16) << to;
      };
      const int word = 2 * block + place.r;
      add_bits(tile + lane * 16 + word * 4, both(15, 0, 4 * pair));
      if constexpr (P.bits == 5) add_bits(tile + 512 + lane * 4, both(1, 4, 4 * word + pair));
      if constexpr (P.bits == 6) {
        add_bits(tile + 512 + lane * 8 + block * 4, both(3, 4, 2 * (4 * place.r + pair)));
      }
    }
  }
}

std::uint16_t negative(std::uint16_t half) { return half ^ 0x8000u; }

template <WeightType Type, Packing P>
void pack_coded_row(std::span<const std::byte> row, const Place& place, std::byte* group) {
  CodedNumbers numbers{};
  constexpr int blocks = Format<Type>::kBlock.values / kBlockColumns;
  int column_block = 0;
  for (std::size_t at = 0; at < row.size(); at += Format<Type>::kBlock.bytes) {
    read_numbers<Type, Type == WeightType::iq4_nl ? 0 : P.offset>(row.data() + at, numbers);
    for (int i = 0; i < blocks; ++i, ++column_block) {
      const auto number = static_cast<std::size_t>(column_block / 2);
      const int block = column_block % 2;
      std::byte* tile = group + P.tile_at(number);
      std::uint8_t codes[kBlockColumns];
      std::copy_n(&numbers.code[static_cast<std::size_t>(i) * kBlockColumns], kBlockColumns, codes);
      if constexpr (Type == WeightType::iq4_nl) {
        for (auto& code : codes) code = static_cast<std::uint8_t>(kIq4NlValues[code] + P.offset);
      }
      pack_codes<P>(codes, place, block, tile);
      std::byte* scales = tile + P.code_bytes() + place.g * 8 + place.r * 4;
      const auto n = static_cast<std::size_t>(i);
      if constexpr (!P.is_nested) {
        store(scales + 2 * block, numbers.scale[n]);
        // In the file it is added.
        if constexpr (P.has_minimum) store(scales + 64 + 2 * block, negative(numbers.minimum[n]));
      } else {
        const auto put = [&](int byte, unsigned value) {
          store(scales + byte, static_cast<std::uint8_t>(value));
        };
        if constexpr (P.part == 32) {
          put(block, numbers.scale_code[2 * n]);
          put(2 + block, numbers.minimum_code[2 * n]);
        } else {
          for (std::size_t part = 0; part < 2; ++part) {
            const unsigned scale = numbers.scale_code[2 * n + part];
            const unsigned minimum = numbers.minimum_code[2 * n + part];
            put(2 * block + static_cast<int>(part), P.has_minimum ? scale | minimum << 4 : scale);
          }
        }
        std::byte* header = group + P.header_at(number);
        if constexpr (P.has_minimum) {
          store(header + place.g * 8 + place.r * 4, numbers.scale[n]);
          store(header + place.g * 8 + place.r * 4 + 2, numbers.minimum[n]);
        } else {
          store(header + place.g * 4 + place.r * 2, numbers.scale[n]);
        }
      }
    }
  }
}

// A power of two that brings the largest of `values` below 2^15; 1 where all are zeros or one is no
// number.
float scale_to_half(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0 || !std::isfinite(largest)) return 1;
  return std::ldexp(1.0f, std::min(14 - std::ilogb(largest), 126));
}

template <class Element, class Of>
void pack_floats(std::size_t cols, const Place& place, std::byte* group, Of of) {
  constexpr std::size_t tile_bytes = sizeof(Element) * kGroupRows * kTileColumns;
  for (std::size_t column = 0; column < cols; ++column) {
    const int in_block = static_cast<int>(column % kBlockColumns);
    const int block = static_cast<int>(column % kTileColumns) / kBlockColumns;
    const int t = in_block % 16 / 4, value = in_block / 16 * 4 + in_block % 4;
    const int eight = (2 * block + place.r) * kTileLanes + place.lane(t);
    store<Element>(group + column / kTileColumns * tile_bytes +
                       static_cast<std::size_t>(8 * eight + value) * sizeof(Element),
                   of(column));
  }
}

}  // namespace

float pack_row(WeightType type, bool halves, std::span<const std::byte> row, int in_group,
               std::byte* group) {
  const Place place{in_group % 8, in_group / 8};
  float scale = 1;
  with_format(type, [&]<WeightType Type>(Format<Type>) {
    constexpr Packing packing = packing_of(Type, true);
    if constexpr (packing.is_coded()) {
      pack_coded_row<Type, packing>(row, place, group);
    } else {
      const std::size_t cols = row.size() / Format<Type>::kBlock.bytes;
      const auto as_is = [&]<class Element>(Element) {
        pack_floats<Element>(cols, place, group, [&](std::size_t column) {
          Element value;
          std::memcpy(&value, row.data() + column * sizeof value, sizeof value);
          return value;
        });
      };
      if (Type == WeightType::f16 || (!halves && Type == WeightType::bf16)) {
        as_is(std::uint16_t{});
      } else if (!halves) {
        as_is(std::uint32_t{});
      } else {
        std::vector<float> values(cols);
        expand(Type, row, values);
        scale = scale_to_half(values);
        pack_floats<std::uint16_t>(cols, place, group, [&](std::size_t column) {
          return float_to_half(values[column] * scale);
        });
      }
    }
  });
  return 1 / scale;
}

}  // namespace sluice::kernels::cuda
