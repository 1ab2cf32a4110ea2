#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

const Operations kOperations = {
    .matmul_fp32 = matmul_fp32,
    .quantise = quantise,
    .matmul_int8 = matmul_int8,
    .rms_norm = rms_norm,
    .rope = rope,
    .kv_write = kv_write,
    .attention = attention,
    .gated_activation = gated_activation,
    .soft_cap = soft_cap,
    .exp_sum = exp_sum,
    .any_above = any_above,
};

}  // namespace sluice::kernels::cpu::SLUICE_ISA
