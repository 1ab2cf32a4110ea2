// What the device computes, each enqueued on a stream. Pointers are the device's; sizes are the
// caller's to check (kernels/backend.h). Throws Error where a kernel cannot be launched.
#pragma once

#include <cuda_fp16.h>
#include <driver_types.h>

#include <cstddef>
#include <cstdint>

#include "kernels/backend.h"
#include "kernels/quant.h"

namespace sluice::kernels::cuda {

struct RmsNormArgs {
  const float* x;     // (rows, cols)
  const float* gain;  // (cols)
  float eps;
  bool add;
  float* out;
  std::size_t rows, cols;
};
void rms_norm(const RmsNormArgs& args, cudaStream_t stream);

struct GatedActivationArgs {
  const float* gate;
  const float* up;
  float* out;
  std::size_t count;
  bool gelu;  // tanh's approximation; else silu
};
void gated_activation(const GatedActivationArgs& args, cudaStream_t stream);

// Where a row (token) stands.
struct RowPlace {
  int position;
  int pages_at, page_count;  // of its sequence's ring, in the array of all pages
  int run_index, run_rest;   // rows of its sequence before it, and from it on
};
struct Places {
  const RowPlace* rows;
  const std::int32_t* pages;
};

struct RopeArgs {
  float* x;             // (rows, heads * head_dim)
  const float* angles;  // (positions, head_dim): cosines, then sines
  Places places;
  std::size_t rows;
  int heads, head_dim;
  bool neighbours;  // pairs (2i, 2i + 1); else (i, i + head_dim / 2)
};
void rope(const RopeArgs& args, cudaStream_t stream);

// Keys and values of one layer in pages of 32 positions: [page][kv_head], and there the keys as
// [padded_dim / 8][32][8], so that a lane that is a position reads 8 values at once, and the lanes
// of a warp what lies together; then the values as [32][padded_dim]. Of q8 these are codes, and
// there follow scales (bfloat16), of keys as [padded_dim / 32, rounded up][32], of values as
// [32][].
struct KvLayer {
  std::byte* data;
  KvType type;
  int kv_heads, head_dim;
  std::size_t head_bytes;  // of a page
};
inline constexpr int kKeyValues = 8;
__host__ __device__ inline constexpr int padded_dim(int head_dim) {
  return (head_dim + 15) / 16 * 16;
}

struct KvWriteArgs {
  const float* k;  // (rows, kv_heads * head_dim)
  const float* v;
  KvLayer kv;
  Places places;
  std::size_t rows;
};
void kv_write(const KvWriteArgs& args, cudaStream_t stream);

struct AttentionArgs {
  const float* q;  // (rows, heads * head_dim)
  KvLayer kv;
  Places places;
  std::size_t rows;
  int run_max;        // rows that a sequence has together, at most
  int positions_end;  // beyond the last of any row
  int heads;
  float scale, softcap;  // softcap 0: none
  int window;            // 0: all positions
  float* partial;        // scratch: attention_scratch() floats
  float* out;            // (rows, heads * head_dim)
};
std::size_t attention_scratch(std::size_t rows, int positions_end, int heads, int head_dim);
void attention(const AttentionArgs& args, cudaStream_t stream);

// Activations as the tensor cores want them: each row times a power of two that brings its largest
// value near the end of a half's range (Gemma 3 has values beyond it), rounded to halves; in two
// planes, what the first leaves follows. Rows in tiles of 8, zeros where there are none.
//   halves  [plane][row / 8][column / 32][lane][8]: lane 4 (row % 8) + t has the pairs that the
//           weights' lane t has (packing.h)
//   sums    [row / 8][column / 16][row % 8]: of what the halves hold
//   scale   [row]: what a product is to be multiplied by
inline constexpr std::size_t kRowTile = 8;
struct ProductInput {
  __half* halves;
  float* sums;
  float* scale;
};
struct ProductInputArgs {
  const float* x;  // (rows, cols)
  std::size_t rows, cols;
  std::size_t padded_cols;  // whole tiles of the weight
  int planes;               // 1 or 2
  ProductInput out;
};
void product_input(const ProductInputArgs& args, cudaStream_t stream);

// A weight's rows from one on, packed (packing.h). Its type is what it was in the file.
struct PackedRows {
  WeightType type;
  bool halves;              // packed for products in halves; else in fp32
  const std::byte* groups;  // of the first
  std::size_t group_bytes;
  const float* row_scale;  // of floats as halves: what a row is to be multiplied by; else null
  std::size_t rows, cols;
};

// out[token][row] (+)= sum + bias[row]. The columns are cut in four slices, which depend on their
// number alone; each is summed in the order of its columns, then the four in theirs.
struct ProductArgs {
  PackedRows weight;
  std::size_t tokens;
  ProductInput input;  // product(): of x
  int planes;
  const float* x;     // product_fp32(): (tokens, cols)
  const float* bias;  // or null
  bool add;
  float* out;
  std::size_t out_stride;
};
void product(const ProductArgs& args, cudaStream_t stream);
void product_fp32(const ProductArgs& args, cudaStream_t stream);

// out[i] = scale * row tokens[i] of the table.
struct EmbedArgs {
  PackedRows table;
  const float* floats;  // (rows, cols), in place of what is packed; else null
  const std::int32_t* tokens;
  std::size_t count;
  float scale;
  float* out;  // (count, cols)
};
void embed(const EmbedArgs& args, cudaStream_t stream);

// The best k logits of each row, as ranks_before() orders them: of each piece of the tokens, then
// of these.
inline constexpr int kSelectedMax = 32;
struct SelectArgs {
  const float* logits;  // (rows, tokens)
  std::size_t rows, tokens;
  std::int32_t first_id;
  int k;                     // at most kSelectedMax
  float softcap;             // of the logits that are told; 0: none
  std::uint64_t* of_pieces;  // scratch: (rows, select_pieces(tokens), k)
  Candidate* out;            // (rows, k)
};
std::size_t select_pieces(std::size_t tokens);
void head_select(const SelectArgs& args, cudaStream_t stream);

// A list of the best tokens of a row (kernels/backend.h, ShortlistSpec): what it asks, and below
// what the device finds.
struct List {
  std::size_t row;
  std::size_t changes_begin, changes_end;  // in ListArgs::changes
  std::int32_t named_id;
  bool capped;
  float scale, within;
  std::size_t k;
  std::size_t found_at, room;  // in ListArgs::found

  Listed named;    // its id -1: not one of these tokens
  float least;     // no logit below it is in the list
  unsigned count;  // of those that are not; what `room` does not hold is left out
};
struct ListBlock {     // kHeadBlockRows tokens, or what is left of them
  float largest, sum;  // of e^(logit - largest)
};
struct ListArgs {
  const float* logits;  // (rows, tokens)
  std::size_t tokens;
  std::int32_t first_id;
  float softcap;  // 0: none
  List* lists;
  std::size_t list_count;
  const LogitChange* changes;
  ListBlock* blocks;  // (list_count, list_blocks(tokens))
  Listed* found;
};
std::size_t list_blocks(std::size_t tokens);
void find_least(const ListArgs& args, cudaStream_t stream);  // and `named` and `blocks`
void gather(const ListArgs& args, cudaStream_t stream);      // counts and finds, in any order

}  // namespace sluice::kernels::cuda
