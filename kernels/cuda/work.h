// What each operation (operations.h) must move and compute, as kernels::Work counts it. Of its
// sizes alone: nothing is read of the device, whose memory the arguments point to.
#pragma once

#include <span>

#include "kernels/backend.h"
#include "kernels/cuda/operations.h"

namespace sluice::kernels::cuda {

Work work_of(const RmsNormArgs& args);
Work work_of(const GatedActivationArgs& args);
Work work_of(const RopeArgs& args);  // a row of angles a token
Work work_of(const KvWriteArgs& args);
// `rows`: what args.places says of each. Of a sequence, keys and values that several of its rows
// see are read once.
Work work_of(const AttentionArgs& args, std::span<const Row> rows);
Work work_of(const ProductInputArgs& args);
Work work_of(const ProductArgs& args);
Work work_of(const EmbedArgs& args);  // a row of the table a token
Work work_of(const SelectArgs& args);
Work work_of(const ListArgs& args);  // each of the two operations

}  // namespace sluice::kernels::cuda
