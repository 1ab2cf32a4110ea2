// What each instruction set computes, as plain functions over plain memory. The sources that
// implement them (matmul.cpp, rms_norm.cpp, ...) are compiled once per instruction set, each time
// into a namespace of its own: cpu::portable, cpu::avx2, cpu::avx512. Plain data only: an inline
// function of a shared header would be compiled with several sets of flags, and the linker would
// keep any one of them for all. (tests/kernels/isa_symbols.sh watches over that.)
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant.h"

namespace sluice::kernels::cpu {

// Weights are packed in strips of 64 rows (packed.h): four groups of 16, a lane of a vector each.
inline constexpr int kLanes = 16;
inline constexpr int kStripRows = 64;
inline constexpr int kPageTokens = 32;  // kKvPageTokens of backend.h

struct MatmulArgs {
  WeightType type;
  const std::byte* strips;  // the first strip to multiply
  std::size_t rows, cols;   // of the weight, from the first strip on
  const float* x;           // (tokens, cols)
  std::size_t tokens;
  float* out;  // (tokens, rows), tokens out_stride apart
  std::size_t out_stride;
  bool add;
  float* sums;  // scratch: tokens * kStripRows
};

struct RmsNormArgs {
  const float* x;
  const float* gain;
  float eps;
  float* out;
  std::size_t tokens, cols;
};

// Where a row (token) stands: its position, and the pages of its sequence.
struct RowPlace {
  int position;
  const std::int32_t* pages;
};

struct RopeArgs {
  float* x;             // one token: (heads, head_dim)
  const float* angles;  // its position's cosines, then sines
  int heads, head_dim;
  bool neighbours;  // pairs (2i, 2i + 1); else (i, i + head_dim / 2)
};

struct AttentionArgs {
  const float* q;          // (rows, heads * head_dim)
  const float* kv;         // of this layer (kv_cache.h)
  const RowPlace* places;  // of each row
  std::size_t rows;
  int heads, kv_heads, head_dim;
  float scale;
  float* out;  // (rows, heads * head_dim)
};

struct GatedActivationArgs {
  const float* gate;
  const float* up;
  float* out;
  std::size_t count;
};

struct Operations {
  void (*matmul)(const MatmulArgs&);
  void (*rms_norm)(const RmsNormArgs&);
  void (*rope)(const RopeArgs&);
  void (*attention)(const AttentionArgs&);
  void (*gated_activation)(const GatedActivationArgs&);
};

#ifdef SLUICE_ISA  // being compiled for one instruction set
namespace SLUICE_ISA {
void matmul(const MatmulArgs& args);
void rms_norm(const RmsNormArgs& args);
void rope(const RopeArgs& args);
void attention(const AttentionArgs& args);
void gated_activation(const GatedActivationArgs& args);
}  // namespace SLUICE_ISA
#endif

namespace portable {
extern const Operations kOperations;
}
namespace avx2 {
extern const Operations kOperations;
}
namespace avx512 {
extern const Operations kOperations;
}

}  // namespace sluice::kernels::cpu
