// Weights meet activations in halves. A warp has 16 rows of the weight and 8, 16, 32 or 64 tokens:
// it reads a tile of codes once, and for each 8 tokens the tensor cores add up 16 or 32 columns,
// codes as they are, before the scale comes to it in fp32. No token's sum knows of the others.
//
// Up to 32 tokens the weights' bytes are what takes time: the four warps of a block have a slice of
// the columns each. Beyond, a warp goes through the slices itself and four warps have different
// rows, so that the activations are read once a block. Both add the same numbers in the same order.
#include "kernels/cuda/device.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/packing.h"
#include "kernels/cuda/tile.h"

namespace sluice::kernels::cuda {
namespace {

constexpr int kSlices = 4, kWarps = kSlices, kThreads = kWarps * kWarp;
constexpr int kTokenTilesMax = 8;

// Tiles [begin, end) of the columns.
struct Slice {
  int begin, end;
};
__device__ Slice slice_of(int slice, int tiles) {
  return {slice * tiles / kSlices, (slice + 1) * tiles / kSlices};
}

// Fragments of sums: of 8 tokens, a lane has rows g and g + 8, tokens 2t and 2t + 1.
template <int TokenTiles>
using Sums = float[TokenTiles][4];

struct Activations {
  const uint4* halves;         // of the first tile of tokens, this lane's
  const float* sums;           // of tokens 2t and 2t + 1 of it
  int tile_halves, tile_sums;  // from a tile of tokens to the next
  std::size_t plane_halves;
  int tiles;  // of tokens that there are; others are read as the first

  // The first tile's at 32 columns.
  __device__ const uint4* halves_at(int block, int plane) const {
    return halves + plane * plane_halves + static_cast<std::size_t>(block) * kWarp;
  }
  __device__ const float* sums_at(int block) const {
    return sums + static_cast<std::size_t>(block) * 2 * kRowTile;
  }
  __device__ int tile_of(int n) const { return n < tiles ? n : 0; }
};

// Of floats as halves.
template <class Of, int TokenTiles, int Planes>
requires(!Of::kPacking.is_coded()) __device__
    void add_slice(const std::byte* group, const Slice& slice, const Activations& x,
                   Sums<TokenTiles>& sums) {
#pragma unroll 1
  for (int tile_number = slice.begin; tile_number < slice.end; ++tile_number) {
    const Tile<Of> tile(group, tile_number, lane());
#pragma unroll
    for (int block = 0; block < 2; ++block) {  // of 32 columns
      const uint4 first = tile.halves(0, block), second = tile.halves(1, block);
      const unsigned weights[2][2][2] = {{{first.x, second.x}, {first.y, second.y}},
                                         {{first.z, second.z}, {first.w, second.w}}};
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n) {
#pragma unroll
        for (int plane = 0; plane < Planes; ++plane) {
          const uint4 h = x.halves_at(2 * tile_number + block, plane)[x.tile_of(n) * x.tile_halves];
          const unsigned b[2][2] = {{h.x, h.y}, {h.z, h.w}};
#pragma unroll
          for (int part = 0; part < 2; ++part) multiply_add(sums[n], weights[part], b[part]);
        }
      }
    }
  }
}

template <class Of, int TokenTiles, int Planes>
requires(Of::kPacking.is_coded()) __device__
    void add_slice(const std::byte* group, const Slice& slice, const Activations& x,
                   Sums<TokenTiles>& sums) {
  constexpr Packing P = Of::kPacking;
#pragma unroll 1
  for (int tile_number = slice.begin; tile_number < slice.end; ++tile_number) {
    const Tile<Of> tile(group, tile_number, lane());
#pragma unroll
    for (int block = 0; block < 2; ++block) {  // of 32 columns
      unsigned codes[2][2][2];                 // [16 columns][half of them][row]
#pragma unroll
      for (int pair = 0; pair < 4; ++pair) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          codes[pair / 2][pair % 2][row] = bits_of(tile.codes(row, 4 * block + pair));
        }
      }
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n) {
        uint4 halves[Planes];
#pragma unroll
        for (int plane = 0; plane < Planes; ++plane) {
          halves[plane] = x.halves_at(2 * tile_number + block, plane)[x.tile_of(n) * x.tile_halves];
        }
        float partial[4] = {};
#pragma unroll
        for (int part = 0; part < 2; ++part) {  // of 16 columns
#pragma unroll
          for (int plane = 0; plane < Planes; ++plane) {
            const uint4& h = halves[plane];
            const unsigned b[2] = {part == 0 ? h.x : h.z, part == 0 ? h.y : h.w};
            multiply_add(partial, codes[part], b);
          }
          if (part == 0 && P.part == 32) continue;
          float2 of_columns{};
          if constexpr (P.has_minimum) {
            const float* of_tile = x.sums_at(2 * tile_number + block) + x.tile_of(n) * x.tile_sums;
            of_columns = *reinterpret_cast<const float2*>(of_tile + part * kRowTile);
            if constexpr (P.part == 32) {
              const float2 before = *reinterpret_cast<const float2*>(of_tile);
              of_columns.x += before.x;
              of_columns.y += before.y;
            }
          }
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int scale_part = P.part == 32 ? block : 2 * block + part;
            sums[n][i] = fmaf(tile.scale(i / 2, scale_part), partial[i], sums[n][i]);
            if constexpr (P.has_minimum) {
              sums[n][i] = fmaf(-tile.minimum(i / 2, scale_part),
                                i % 2 == 0 ? of_columns.x : of_columns.y, sums[n][i]);
            }
            partial[i] = 0;
          }
        }
      }
    }
  }
}

// Where sums go, scaled.
__device__ void put(const ProductArgs& args, std::size_t group, std::size_t token_tile,
                    const float (&sums)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::size_t row = group * kGroupRows + static_cast<std::size_t>(lane() / 4 + i / 2 * 8);
    const std::size_t token =
        token_tile * kRowTile + static_cast<std::size_t>(lane() % 4 * 2 + i % 2);
    if (row >= args.weight.rows || token >= args.tokens) continue;
    float scale = args.input.scale[token];
    if (args.weight.row_scale != nullptr) scale *= args.weight.row_scale[row];
    float value = sums[i] * scale;
    if (args.bias != nullptr) value += args.bias[row];
    float& out = args.out[token * args.out_stride + row];
    out = args.add ? out + value : value;
  }
}

// A warp's share of shared memory: the sums of a slice, or those of a warp's slices so far, which
// would take registers.
template <int TokenTiles>
struct Layout {
  Vector<float> of_warp[kWarps][TokenTiles][kWarp];
};

// Blocks of threads that a multiprocessor's registers are to suffice for. 0: ptxas chooses, but for
// some kernels it would spill a register to fit one block more (scripts/cuda-report.py).
constexpr int blocks_of(const Packing& packing, int token_tiles, int planes) {
  if (token_tiles == 1 && packing.is_nested && packing.bits > 4) return 8;
  if (token_tiles == 4 && packing.bits == 5 && !packing.has_minimum && planes == 1) return 4;
  if (token_tiles == 8 && !packing.is_coded() && planes == 2) return 2;
  return 0;
}

template <class Of, int TokenTiles, int Planes>
__global__ void __launch_bounds__(kThreads, blocks_of(Of::kPacking, TokenTiles, Planes))
    product_kernel(ProductArgs args) {
  constexpr bool kSplit = TokenTiles < kTokenTilesMax;  // a warp a slice
  const std::size_t group = kSplit ? blockIdx.x : std::size_t{blockIdx.x} * kWarps + warp();
  const std::size_t first_tile = std::size_t{blockIdx.y} * TokenTiles;
  const int tiles = static_cast<int>((args.weight.cols + kTileColumns - 1) / kTileColumns);
  const std::size_t token_tiles = (args.tokens + kRowTile - 1) / kRowTile;
  const int tile_halves = tiles * 2 * kWarp;
  const int tile_sums = tiles * 4 * static_cast<int>(kRowTile);
  const Activations x{.halves = reinterpret_cast<const uint4*>(args.input.halves) +
                                first_tile * tile_halves + lane(),
                      .sums = args.input.sums + first_tile * tile_sums + lane() % 4 * 2,
                      .tile_halves = tile_halves,
                      .tile_sums = tile_sums,
                      .plane_halves = token_tiles * tile_halves,
                      .tiles = static_cast<int>(token_tiles - first_tile)};
  const std::byte* weight = args.weight.groups + group * args.weight.group_bytes;
  auto& shared = shared_memory<Layout<TokenTiles>>();
  auto& own = shared.of_warp[warp()];
  if constexpr (kSplit) {
    Sums<TokenTiles> sums = {};
    add_slice<Of, TokenTiles, Planes>(weight, slice_of(warp(), tiles), x, sums);
#pragma unroll
    for (int n = 0; n < TokenTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) own[n][lane()].at[i] = sums[n][i];
    }
    __syncthreads();
    for (int n = warp(); n < TokenTiles; n += kWarps) {
      float total[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        total[i] = shared.of_warp[0][n][lane()].at[i];
        for (int slice = 1; slice < kSlices; ++slice) {
          total[i] += shared.of_warp[slice][n][lane()].at[i];
        }
      }
      put(args, group, first_tile + static_cast<std::size_t>(n), total);
    }
  } else {
    if (group * kGroupRows >= args.weight.rows) return;
    for (int slice = 0; slice < kSlices; ++slice) {
      Sums<TokenTiles> sums = {};
      add_slice<Of, TokenTiles, Planes>(weight, slice_of(slice, tiles), x, sums);
#pragma unroll
      for (int n = 0; n < TokenTiles; ++n) {
        Vector<float> total{};
        if (slice > 0) total = own[n][lane()];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          total.at[i] = slice == 0 ? sums[n][i] : total.at[i] + sums[n][i];
        }
        own[n][lane()] = total;
      }
    }
#pragma unroll 1
    for (int n = 0; n < TokenTiles; ++n) {
      put(args, group, first_tile + static_cast<std::size_t>(n), own[n][lane()].at);
    }
  }
}

template <class Of, int TokenTiles>
void launch_product(const ProductArgs& args, std::size_t token_tiles, cudaStream_t stream) {
  const std::size_t groups = (args.weight.rows + kGroupRows - 1) / kGroupRows;
  const std::size_t blocks = TokenTiles < kTokenTilesMax ? groups : (groups + kWarps - 1) / kWarps;
  const Grid grid{dim3(static_cast<unsigned>(blocks),
                       static_cast<unsigned>((token_tiles + TokenTiles - 1) / TokenTiles)),
                  dim3(kThreads)};
  launch(args.planes == 1 ? &product_kernel<Of, TokenTiles, 1> : &product_kernel<Of, TokenTiles, 2>,
         "product", grid, stream, args);
}

}  // namespace

void product(const ProductArgs& args, cudaStream_t stream) {
  const std::size_t token_tiles = (args.tokens + kRowTile - 1) / kRowTile;
  with_packing<true>(args.weight.type, [&]<class Of>(Of) {
    if (token_tiles > 4) {
      launch_product<Of, 8>(args, token_tiles, stream);
    } else if (token_tiles > 1) {
      launch_product<Of, 4>(args, token_tiles, stream);
    } else {
      launch_product<Of, 1>(args, token_tiles, stream);
    }
  });
}

}  // namespace sluice::kernels::cuda
