// The operations of an instruction set.
#pragma once

#include "kernels/cpu.h"
#include "kernels/cpu/operations.h"

namespace sluice::kernels::cpu {

const Operations& operations(Isa isa);  // throws Error where this CPU lacks it

}  // namespace sluice::kernels::cpu
