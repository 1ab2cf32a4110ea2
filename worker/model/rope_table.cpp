#include "worker/model/rope_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

namespace sluice::worker::model {

constexpr int kFirstPositions = 512;  // what most prompts and answers stay within

RopeTable::RopeTable(kernels::Backend& backend, const ModelConfig& config, bool windowed)
    : backend_(backend),
      rope_(windowed ? config.window_rope : config.rope),
      head_dim_(config.head_dim),
      context_(static_cast<std::size_t>(config.context)) {
  cover(kFirstPositions);
}

void RopeTable::cover(int positions_end) {
  const std::size_t end = std::min(static_cast<std::size_t>(positions_end), context_);
  if (weight_ && end <= weight_->rows()) return;
  const std::size_t rows = std::min(std::bit_ceil(end), context_);
  const auto cols = static_cast<std::size_t>(head_dim_);
  const std::vector<float> angles = rope_angles(rope_, head_dim_, static_cast<int>(rows));
  weight_before_ = std::move(weight_);
  weight_ = backend_.load({.type = kernels::WeightType::f32,
                           .rows = rows,
                           .cols = cols,
                           .use = kernels::WeightUse::lookup},
                          [&](std::size_t first_row, std::size_t, std::span<std::byte> out) {
                            std::memcpy(out.data(), &angles[first_row * cols], out.size());
                          });
}

}  // namespace sluice::worker::model
