#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu::SLUICE_ISA {

const Operations kOperations = {
    .matmul = matmul,
    .rms_norm = rms_norm,
    .rope = rope,
    .attention = attention,
    .gated_activation = gated_activation,
    .soft_cap = soft_cap,
    .exp_sum = exp_sum,
};

}  // namespace sluice::kernels::cpu::SLUICE_ISA
