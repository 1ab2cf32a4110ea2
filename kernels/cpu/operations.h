// What each instruction set computes, as plain functions over plain memory. The sources that
// implement them (matmul.cpp, rms_norm.cpp, ...) are compiled once per instruction set, each time
// into a namespace of its own: cpu::portable, cpu::avx2, cpu::avx512. Plain data only: an inline
// function of a shared header would be compiled with several sets of flags, and the linker would
// keep any one of them for all. (tests/kernels/isa_symbols.sh watches over that.)
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/packing.h"
#include "kernels/quant.h"

namespace sluice::kernels::cpu {

inline constexpr int kPageTokens = 32;        // kKvPageTokens of backend.h
inline constexpr int kAttentionDimMax = 512;  // kHeadDimMax of backend.h
inline constexpr int kPanelRows = 64;         // that matmul_fp32 expands at a time

// out = x * weight^T, whatever x is.
struct ProductArgs {
  WeightType type;
  const std::byte* groups;  // the first group to multiply (packing.h)
  std::size_t group_bytes;  // from one to the next
  std::size_t rows, cols;   // of the weight, from the first group on
  std::size_t tokens;
  float* out;  // (tokens, rows), tokens out_stride apart
  std::size_t out_stride;
  const float* bias;  // (rows), or null
  bool add;
};

// Activations as integers: one plane of 8 bits or two that make 15 (coded_tiles.h).
inline constexpr std::size_t kCodedBlockBytes[] = {0, 48, 80};  // by planes; 32 columns, a token
inline constexpr std::size_t kCodedTokensStep = 16;  // tokens may be coded apart in multiples of it
struct QuantiseArgs {
  const float* x;  // (tokens, cols)
  std::size_t tokens, cols;
  int planes;      // 1 or 2
  std::byte* out;  // tokens * cols / 32 * kCodedBlockBytes[planes]
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

struct KvWriteArgs {
  const float* k;  // (rows, kv_heads * head_dim)
  const float* v;
  std::byte* kv;           // of this layer (kv_cache.h)
  bool half;               // what it holds; else fp32
  const RowPlace* places;  // of each row
  std::size_t rows;
  int kv_heads, head_dim;
};

struct AttentionArgs {
  const float* q;       // (rows, heads * head_dim)
  const std::byte* kv;  // of this layer (kv_cache.h)
  bool half;
  const RowPlace* places;  // of each row; those of a sequence are neighbours and ascend
  std::size_t rows;
  int heads, kv_heads, head_dim;
  float scale;
  float softcap;    // 0: none
  int window;       // 0: all positions
  float* out;       // (rows, heads * head_dim)
  int part, parts;  // which share of the work to do
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
  // x: (tokens, cols). sums: scratch, tokens * kPanelRows.
  void (*matmul_fp32)(const ProductArgs&, const float* x, float* sums);
  void (*quantise)(const QuantiseArgs&);
  // x: what quantise made of the same number of tokens. Requires: an integer-coded weight.
  void (*matmul_int8)(const ProductArgs&, const std::byte* x, int planes);
  void (*rms_norm)(const RmsNormArgs&);
  void (*rope)(const RopeArgs&);
  void (*kv_write)(const KvWriteArgs&);
  void (*attention)(const AttentionArgs&);
  void (*gated_activation)(const GatedActivationArgs&);
  void (*soft_cap)(const SoftCapArgs&);
  ExpSum (*exp_sum)(const float* x, std::size_t count);
  // Is some value not at most `limit`, or no number?
  bool (*any_above)(const float* x, std::size_t count, float limit);
};

#ifdef SLUICE_ISA  // being compiled for one instruction set
namespace SLUICE_ISA {
void matmul_fp32(const ProductArgs& args, const float* x, float* sums);
void quantise(const QuantiseArgs& args);
void matmul_int8(const ProductArgs& args, const std::byte* x, int planes);
void rms_norm(const RmsNormArgs& args);
void rope(const RopeArgs& args);
void kv_write(const KvWriteArgs& args);
void attention(const AttentionArgs& args);
void gated_activation(const GatedActivationArgs& args);
void soft_cap(const SoftCapArgs& args);
ExpSum exp_sum(const float* x, std::size_t count);
bool any_above(const float* x, std::size_t count, float limit);
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
