#include "kernels/cuda/work.h"

#include <algorithm>

#include "kernels/cuda/packing.h"

namespace sluice::kernels::cuda {
namespace {

constexpr std::uint64_t kFloat = sizeof(float);

std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

// Of one token's keys and values in a layer.
std::uint64_t position_bytes(const KvLayer& kv) {
  return static_cast<std::uint64_t>(kv.kv_heads) * kv.head_bytes / kKvPageTokens;
}

// Of ProductInput: in whole tiles of tokens. A product of weights without minima leaves the sums.
std::uint64_t input_bytes(std::uint64_t tokens, std::uint64_t padded_cols, int planes,
                          bool with_sums) {
  const std::uint64_t rows = round_up(tokens, kRowTile);
  return static_cast<std::uint64_t>(planes) * rows * padded_cols * 2 +
         (with_sums ? rows * padded_cols / 16 * kFloat : 0) + tokens * kFloat;
}

std::uint64_t bytes_of(const PackedRows& weight) {
  return round_up(weight.rows, kGroupRows) / kGroupRows * weight.group_bytes +
         (weight.row_scale == nullptr ? 0 : weight.rows * kFloat);
}

}  // namespace

Work work_of(const RmsNormArgs& args) {
  const std::uint64_t values = args.rows * args.cols;
  return {.bytes = ((args.add ? 3 : 2) * values + args.cols) * kFloat};
}

Work work_of(const GatedActivationArgs& args) { return {.bytes = 3 * args.count * kFloat}; }

Work work_of(const RopeArgs& args) {
  const auto dim = static_cast<std::uint64_t>(args.head_dim);
  return {.bytes = args.rows * dim * (2 * static_cast<std::uint64_t>(args.heads) + 1) * kFloat};
}

Work work_of(const KvWriteArgs& args) {
  const std::uint64_t values = 2 * static_cast<std::uint64_t>(args.kv.kv_heads) *
                               static_cast<std::uint64_t>(args.kv.head_dim);
  return {.bytes = args.rows * (values * kFloat + position_bytes(args.kv))};
}

Work work_of(const AttentionArgs& args, std::span<const Row> rows) {
  const auto first_seen = [&](const Row& row) {
    return args.window > 0 ? std::max(0, row.position + 1 - args.window) : 0;
  };
  std::uint64_t positions_read = 0, pairs = 0;  // of a query and a position that it sees
  int sequence = -1, read_end = 0;
  for (const Row& row : rows) {
    if (row.sequence != sequence) read_end = 0;
    sequence = row.sequence;
    const int first = first_seen(row), end = row.position + 1;
    pairs += static_cast<std::uint64_t>(end - first);
    positions_read += static_cast<std::uint64_t>(end - std::max(first, read_end));
    read_end = end;
  }
  const std::uint64_t head_values =
      static_cast<std::uint64_t>(args.heads) * static_cast<std::uint64_t>(args.kv.head_dim);
  return {.bytes = 2 * args.rows * head_values * kFloat + positions_read * position_bytes(args.kv),
          .fp32_flops = 2 * 2 * pairs * head_values};
}

Work work_of(const ProductInputArgs& args) {
  return {.bytes = args.rows * args.cols * kFloat +
                   input_bytes(args.rows, args.padded_cols, args.planes, true)};
}

Work work_of(const ProductArgs& args) {
  const PackedRows& weight = args.weight;
  const std::uint64_t flops = 2 * weight.rows * weight.cols * args.tokens;
  const std::uint64_t in_bytes =
      weight.halves ? input_bytes(args.tokens, round_up(weight.cols, kTileColumns), args.planes,
                                  packing_of(weight.type, true).has_minimum)
                    : args.tokens * weight.cols * kFloat;
  const std::uint64_t out_bytes = (args.add ? 2 : 1) * args.tokens * weight.rows * kFloat;
  const std::uint64_t bias_bytes = args.bias == nullptr ? 0 : weight.rows * kFloat;
  return {.bytes = bytes_of(weight) + bias_bytes + in_bytes + out_bytes,
          .tensor_flops = weight.halves ? flops : 0,
          .fp32_flops = weight.halves ? 0 : flops};
}

Work work_of(const EmbedArgs& args) {
  const PackedRows& table = args.table;
  const std::uint64_t cols = table.cols;
  const std::uint64_t row_bytes =
      args.floats != nullptr
          ? cols * kFloat
          : table.group_bytes / kGroupRows + (table.row_scale == nullptr ? 0 : kFloat);
  return {.bytes = args.count * (sizeof(std::int32_t) + row_bytes + cols * kFloat)};
}

Work work_of(const SelectArgs& args) {
  const auto k = static_cast<std::uint64_t>(args.k);
  return {.bytes = args.rows * (args.tokens * kFloat +
                                2 * k * select_pieces(args.tokens) * sizeof(std::uint64_t) +
                                k * sizeof(Candidate))};
}

Work work_of(const ListArgs& args) {
  return {.bytes = args.list_count *
                   (args.tokens * kFloat + list_blocks(args.tokens) * sizeof(ListBlock))};
}

}  // namespace sluice::kernels::cuda
