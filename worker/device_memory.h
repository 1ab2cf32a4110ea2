// Whether a stage fits into memory that is its device's own, known before anything is read. Of a
// device that shares the host's nothing is said here.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/backend.h"
#include "worker/model/model.h"
#include "worker/pipeline/agreement.h"

namespace sluice::worker {

// Left free for logits, partial sums and the driver.
inline constexpr std::uint64_t kDeviceReserveBytes = std::uint64_t{128} << 20;

// Throws Error, with the numbers and in how many stages the model would fit, where weights,
// activations and the KV cache of one sequence of plan.max_positions are more than is free.
void require_device_memory(const model::Model& model, const pipeline::Plan& plan,
                           const model::StageRange& range, kernels::KvType kv_type,
                           const kernels::Backend& backend);

// What the KV cache may take once the weights are loaded; nothing: the device shares the host's.
std::optional<std::uint64_t> device_kv_bytes(const model::Model& model, const pipeline::Plan& plan,
                                             const kernels::Backend& backend);

}  // namespace sluice::worker
