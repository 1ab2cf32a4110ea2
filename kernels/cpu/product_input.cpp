#include "kernels/cpu/product_input.h"

#include <string>

#include "kernels/cpu/packed_rows.h"
#include "kernels/error.h"

namespace sluice::kernels::cpu {

void ProductInput::multiply(const CpuWeight& weight, const Rows& rows, const Output& out) {
  if (rows.first + rows.count > weight.product_rows()) {
    throw Error("kernels: of the weight only the first " + std::to_string(weight.product_rows()) +
                " rows were loaded for products");
  }
  // By name: clang 14 captures no structured bindings.
  const Operations& operations = arithmetic_.operations;
  const int planes = arithmetic_.planes;
  Pool& pool = arithmetic_.pool;
  const bool by_integers = planes > 0 && is_coded(weight.type());
  const std::byte* const x = by_integers ? coded() : nullptr;
  const std::size_t sums_size = tokens_ * kPanelRows;
  float* const sums =
      by_integers ? nullptr
                  : arithmetic_.sums.floats(sums_size * static_cast<std::size_t>(pool.threads()));
  const std::size_t step = by_integers ? kGroupRows : kPanelRows;
  pool.share(rows.count, step, [&](int thread, std::size_t first, std::size_t count) {
    const ProductArgs product{
        .type = weight.type(),
        .groups = weight.groups() + (rows.first + first) / kGroupRows * weight.group_bytes(),
        .group_bytes = weight.group_bytes(),
        .rows = count,
        .cols = cols_,
        .tokens = tokens_,
        .out = out.at + first,
        .out_stride = out.stride,
        .bias = out.bias == nullptr ? nullptr : out.bias + first,
        .add = out.add};
    if (by_integers) {
      operations.matmul_int8(product, x, planes);
    } else {
      operations.matmul_fp32(product, x_, sums + static_cast<std::size_t>(thread) * sums_size);
    }
  });
}

const std::byte* ProductInput::coded() {
  if (coded_ != nullptr) return coded_;
  const std::size_t token_bytes = cols_ / kBlockColumns * kCodedBlockBytes[arithmetic_.planes];
  std::byte* const out = arithmetic_.coded.bytes(tokens_ * token_bytes);
  arithmetic_.pool.share(tokens_, kCodedTokensStep, [&](int, std::size_t first, std::size_t count) {
    arithmetic_.operations.quantise({.x = x_ + first * cols_,
                                     .tokens = count,
                                     .cols = cols_,
                                     .planes = arithmetic_.planes,
                                     .out = out + first * token_bytes});
  });
  return coded_ = out;
}

}  // namespace sluice::kernels::cpu
