#include "kernels/cpu/product_input.h"

#include "kernels/cpu/packed_rows.h"

namespace sluice::kernels::cpu {

void ProductInput::multiply(const CpuWeight& weight, const Rows& rows, const Output& out) {
  const std::byte* groups = weight.groups() + rows.first / kGroupRows * weight.group_bytes();
  if (arithmetic_.planes > 0 && is_coded(weight.type())) {
    arithmetic_.operations.matmul_int8({.type = weight.type(),
                                        .groups = groups,
                                        .group_bytes = weight.group_bytes(),
                                        .rows = rows.count,
                                        .cols = cols_,
                                        .x = coded(),
                                        .planes = arithmetic_.planes,
                                        .tokens = tokens_,
                                        .out = out.at,
                                        .out_stride = out.stride,
                                        .bias = out.bias,
                                        .add = out.add});
  } else {
    arithmetic_.operations.matmul_fp32({.type = weight.type(),
                                        .groups = groups,
                                        .group_bytes = weight.group_bytes(),
                                        .rows = rows.count,
                                        .cols = cols_,
                                        .x = x_,
                                        .tokens = tokens_,
                                        .out = out.at,
                                        .out_stride = out.stride,
                                        .bias = out.bias,
                                        .add = out.add,
                                        .sums = arithmetic_.sums.floats(tokens_ * kPanelRows)});
  }
}

const std::byte* ProductInput::coded() {
  if (coded_ != nullptr) return coded_;
  const std::size_t bytes = tokens_ * cols_ / kBlockColumns * kCodedBlockBytes[arithmetic_.planes];
  std::byte* out = arithmetic_.coded.bytes(bytes);
  arithmetic_.operations.quantise(
      {.x = x_, .tokens = tokens_, .cols = cols_, .planes = arithmetic_.planes, .out = out});
  return coded_ = out;
}

}  // namespace sluice::kernels::cpu
