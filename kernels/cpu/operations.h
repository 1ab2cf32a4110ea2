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

// Weights are packed in strips of 64 rows (weight.h): four groups of 16, a lane of a vector each.
inline constexpr int kLanes = 16;
inline constexpr int kStripRows = 64;
inline constexpr int kPageTokens = 32;  // kKvPageTokens of backend.h

struct MatmulArgs {
  WeightType type;
  const std::byte* strips;  // the first strip to multiply
  std::size_t strip_bytes;  // from one to the next
  std::size_t rows, cols;   // of the weight, from the first strip on
  const float* x;           // (tokens, cols)
  std::size_t tokens;
  float* out;  // (tokens, rows), tokens out_stride apart
  std::size_t out_stride;
  const float* bias;  // (rows), or null
  bool add;
  float* sums;  // scratch: tokens * kStripRows
};

struct RmsNormArgs {
  const float* x;
  const float* gain;
  float eps;
  bool add;
  float* out;
  std::size_t tokens, cols;
};

// Where a row (token) stands: its position, and the ring of its sequence's pages.
struct RowPlace {
  int position;
  const std::int32_t* pages;
  int page_count;
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
  float softcap;  // 0: none
  int window;     // 0: all positions
  float* out;     // (rows, heads * head_dim)
};

struct GatedActivationArgs {
  const float* gate;
  const float* up;
  float* out;
  std::size_t count;
  bool gelu;  // tanh's approximation; else silu
};

struct SoftCapArgs {
  float* x;  // becomes cap * tanh(x / cap)
  std::size_t count;
  float cap;
};

// The largest of some values, and the sum of e^(value - largest). The sum is not a number where a
// value is none or none is finite.
struct ExpSum {
  float largest, sum;
};

struct Operations {
  void (*matmul)(const MatmulArgs&);
  void (*rms_norm)(const RmsNormArgs&);
  void (*rope)(const RopeArgs&);
  void (*attention)(const AttentionArgs&);
  void (*gated_activation)(const GatedActivationArgs&);
  void (*soft_cap)(const SoftCapArgs&);
  ExpSum (*exp_sum)(const float* x, std::size_t count);
};

#ifdef SLUICE_ISA  // being compiled for one instruction set
namespace SLUICE_ISA {
void matmul(const MatmulArgs& args);
void rms_norm(const RmsNormArgs& args);
void rope(const RopeArgs& args);
void attention(const AttentionArgs& args);
void gated_activation(const GatedActivationArgs& args);
void soft_cap(const SoftCapArgs& args);
ExpSum exp_sum(const float* x, std::size_t count);
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
