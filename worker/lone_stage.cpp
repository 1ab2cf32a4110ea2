#include "worker/lone_stage.h"

#include <random>

namespace sluice::worker {

model::KvRoom kv_room_of(const LoneStageRoom& room, const model::ModelConfig& config) {
  const auto one = pages_of_sequence(kv_layout(config, room.rows), room.positions);
  return {.full = one.full * room.sequences, .ring = one.ring * room.sequences};
}

void Pass::clear() {
  rows.clear();
  tokens.clear();
  wanting.clear();
}

void Pass::add(int sequence, int position, std::int32_t token, bool wants_token) {
  if (wants_token) wanting.push_back(static_cast<int>(rows.size()));
  rows.push_back({.sequence = sequence, .position = position});
  tokens.push_back(token);
}

LoneStage::LoneStage(const model::Model& model, const model::StageRange& range,
                     kernels::Backend& backend, const LoneStageRoom& room,
                     const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const model::KvRoom kv_room = kv_room_of(room, model.config());
  model::PagePool pool(kv_room, kv_layout(model.config(), room.rows));
  for (int i = 0; i < room.sequences; ++i) pages_.push_back(pool.reserve(room.positions));
  for (const model::SequencePages& pages : pages_) {
    tables_.emplace_back(pages.full);
    rings_.emplace_back(pages.ring);
  }
  std::mt19937 random(1);
  activations_.resize(static_cast<std::size_t>(room.rows) *
                      static_cast<std::size_t>(model.config().hidden));
  for (float& value : activations_) value = static_cast<float>(random()) / 0x1p31f - 1;
  forward_ = std::make_unique<model::Forward>(
      backend, model.config(), load_stage(model, range, backend, progress),
      model::ForwardLimits{.rows_max = room.rows,
                           .kv_room = kv_room,
                           .kv_type = kernels::kv_type_of(backend.precision())});
}

std::span<const float> LoneStage::activations(std::size_t rows) const {
  return std::span(activations_).first(rows * static_cast<std::size_t>(forward_->hidden()));
}

void LoneStage::layers(const Pass& pass) {
  forward_->begin(pass.rows, tables_, rings_);
  if (forward_->range().has_embedding) {
    forward_->embed(pass.tokens);
  } else {
    forward_->upload(activations(pass.rows.size()));
  }
  forward_->layers([] {});
  forward_->finish([] {});
}

void LoneStage::head(const Pass& pass, std::span<kernels::Candidate> best) {
  if (forward_->range().head_is_split) {
    forward_->present(activations(pass.wanting.size()));
  } else {
    forward_->present(pass.wanting);
  }
  forward_->select(1, best);
  forward_->finish([] {});
}

}  // namespace sluice::worker
