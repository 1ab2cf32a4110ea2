// A lane's share of a tile of weights (packing.h), from the device's memory into registers.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/packing.h"

namespace sluice::kernels::cuda {

// A static constant has no address on the device; one within a function needs none.
template <class Of>
__device__ std::size_t tile_at(int tile) {
  constexpr Packing packing = Of::kPacking;
  return packing.tile_at(static_cast<std::size_t>(tile));
}
template <class Of>
__device__ std::size_t header_at(int tile) {
  constexpr Packing packing = Of::kPacking;
  return packing.header_at(static_cast<std::size_t>(tile));
}

// Of coded weights.
template <class Of>
class Tile {
  static constexpr Packing P = Of::kPacking;

 public:
  __device__ Tile(const std::byte* group, int tile, int lane) : lane_(lane) {
    const std::byte* at = group + tile_at<Of>(tile);
    if constexpr (P.bits == 8) {
      low_ = load<uint4>(at, lane_);
      high_ = load<uint4>(at + 512, lane_);
    } else {
      low_ = load<uint4>(at, lane_);
      if constexpr (P.bits == 5) high_.x = load<unsigned>(at + 512, lane_);
      if constexpr (P.bits == 6) {
        const uint2 two = load<uint2>(at + 512, lane_);
        high_.x = two.x;
        high_.y = two.y;
      }
    }
    load_scales(group + header_at<Of>(tile), at + P.code_bytes());
  }

  // A pair of codes of row g + 8 * row, less their offset: exact in halves.
  __device__ __half2 codes(int row, int pair) const {
    constexpr unsigned kThousand = 0x64006400u;  // 1024 twice: whose last bits are ones
    unsigned bits;
    if constexpr (P.bits == 8) {
      const unsigned word = word_of(pair < 4 ? low_ : high_, 2 * row + pair % 4 / 2);
      bits = __byte_perm(word, kThousand >> 8, pair % 2 == 0 ? 0x4140 : 0x4342);
    } else {
      const int word = pair / 4 * 2 + row, place = pair % 4;
      bits = kThousand | (word_of(low_, word) >> 4 * place & 0x000f000fu);
      if constexpr (P.bits == 5) bits |= (high_.x >> (4 * word + place) & 0x00010001u) << 4;
      if constexpr (P.bits == 6) {
        const unsigned of = pair < 4 ? high_.x : high_.y;
        bits |= (of >> 2 * (4 * row + place) & 0x00030003u) << 4;
      }
    }
    constexpr float kLess = 1024.0f + P.offset;
    return __hsub2(half2_of(bits), __float2half2_rn(kLess));
  }

  // What they stand for: the bits that expand() of the file's bytes gives.
  __device__ float2 values(int row, int pair) const {
    const int part = pair * 8 / P.part;
    const float2 codes = __half22float2(this->codes(row, pair));
    const float scale = scale_[row][part];
    if constexpr (P.has_minimum) {
      const float less = -minimum_[row][part];
      return {fmaf(scale, codes.x, less), fmaf(scale, codes.y, less)};
    } else {
      return {scale * codes.x, scale * codes.y};
    }
  }

  // Of part `part` of the tile's columns, row g + 8 * row.
  __device__ float scale(int row, int part) const { return scale_[row][part]; }
  __device__ float minimum(int row, int part) const { return minimum_[row][part]; }

  __device__ static __half2 half2_of(unsigned bits) {
    return *reinterpret_cast<const __half2*>(&bits);
  }

 private:
  template <class T>
  __device__ static T load(const std::byte* from, int index) {
    return reinterpret_cast<const T*>(from)[index];
  }
  __device__ static unsigned word_of(const uint4& words, int i) {
    return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
  }
  __device__ static float byte_of(unsigned word, int i) {
    const unsigned byte = word >> 8 * i & 0xff;
    return P.has_minimum ? static_cast<float>(byte)
                         : static_cast<float>(static_cast<std::int8_t>(byte));
  }

  __device__ void load_scales(const std::byte* header, const std::byte* scales) {
    const int g = lane_ / 4;
    if constexpr (!P.is_nested) {
      const uint2 two = load<uint2>(scales, g);
      take(two.x, scale_[0]);
      take(two.y, scale_[1]);
      if constexpr (P.has_minimum) {
        const uint2 minima = load<uint2>(scales + 64, g);
        take(minima.x, minimum_[0]);
        take(minima.y, minimum_[1]);
      }
    } else {
      const uint2 codes = load<uint2>(scales, g);
      const unsigned code[2] = {codes.x, codes.y};
      float scale[2], minimum[2] = {};
      if constexpr (P.has_minimum) {
        const uint2 halves = load<uint2>(header, g);
        const float2 first = __half22float2(half2_of(halves.x));
        const float2 second = __half22float2(half2_of(halves.y));
        scale[0] = first.x;
        minimum[0] = first.y;
        scale[1] = second.x;
        minimum[1] = second.y;
      } else {
        const float2 both = __half22float2(half2_of(load<unsigned>(header, g)));
        scale[0] = both.x;
        scale[1] = both.y;
      }
#pragma unroll
      for (int row = 0; row < 2; ++row) {
#pragma unroll
        for (int part = 0; part < P.parts(); ++part) {
          if constexpr (P.has_minimum && P.part == 16) {
            const unsigned both = code[row] >> 8 * part & 0xff;
            scale_[row][part] = scale[row] * static_cast<float>(both & 15);
            minimum_[row][part] = minimum[row] * static_cast<float>(both >> 4);
          } else {
            scale_[row][part] = scale[row] * byte_of(code[row], part);
            if constexpr (P.has_minimum) {
              minimum_[row][part] = minimum[row] * byte_of(code[row], 2 + part);
            }
          }
        }
      }
    }
  }
  __device__ static void take(unsigned halves, float (&into)[P.parts()]) {
    const float2 both = __half22float2(half2_of(halves));
    into[0] = both.x;
    into[1] = both.y;
  }

  int lane_;
  uint4 low_, high_;
  float scale_[2][P.parts()], minimum_[2][P.parts()];
};

// Of floats.
template <class Of>
requires(!Of::kPacking.is_coded()) class Tile<Of> {
  static constexpr Packing P = Of::kPacking;

 public:
  __device__ Tile(const std::byte* group, int tile, int lane)
      : at_(group + tile_at<Of>(tile)), lane_(lane) {}

  // The four pairs of row g + 8 * row in 32 of its columns. Of halves.
  __device__ uint4 halves(int row, int block) const { return plane<uint4>(row, block); }

  __device__ float2 values(int row, int pair) const {
    if constexpr (P.float_bytes == 4) {
      return pair_of<float2>(row, pair);
    } else if constexpr (P.is_bfloat) {
      const unsigned both = pair_of<unsigned>(row, pair);
      return {__uint_as_float(both << 16), __uint_as_float(both & 0xffff0000u)};
    } else {
      return __half22float2(pair_of<__half2>(row, pair));
    }
  }

 private:
  struct Eight {
    unsigned char bytes[8 * P.float_bytes];
  };
  template <class T>
  __device__ T plane(int row, int block) const {
    return *reinterpret_cast<const T*>(reinterpret_cast<const Eight*>(at_) +
                                       (2 * block + row) * kTileLanes + lane_);
  }
  template <class T>
  __device__ T pair_of(int row, int pair) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const Eight*>(at_) +
                                      (2 * (pair / 4) + row) * kTileLanes + lane_)[pair % 4];
  }

  const std::byte* at_;
  int lane_;
};

}  // namespace sluice::kernels::cuda
