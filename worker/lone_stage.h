// One stage by itself, to be measured: its weights and KV pages for some sequences on one device,
// and passes of any rows of them. No messages, no queue, no text.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "worker/model/forward.h"
#include "worker/model/kv_pages.h"
#include "worker/model/model.h"

namespace sluice::worker {

struct LoneStageRoom {
  int rows = 0;       // of a pass, at most
  int sequences = 0;  // numbered from 0
  int positions = 0;  // of each
};

model::KvRoom kv_room_of(const LoneStageRoom& room, const model::ModelConfig& config);

struct Pass {
  std::vector<kernels::Row> rows;
  std::vector<std::int32_t> tokens;  // (rows), for a stage that embeds
  std::vector<int> wanting;          // rows that want a token, ascending

  void clear();
  void add(int sequence, int position, std::int32_t token, bool wants_token);
};

class LoneStage {
 public:
  // Loads. Throws worker::Error, std::bad_alloc.
  LoneStage(const model::Model& model, const model::StageRange& range, kernels::Backend& backend,
            const LoneStageRoom& room,
            const std::function<void(std::uint64_t done, std::uint64_t total)>& progress = {});

  // Both return when it is computed. A stage that does not embed takes activations at random, and
  // so does its part of a split head.
  void layers(const Pass& pass);
  void head(const Pass& pass, std::span<kernels::Candidate> best);  // (pass.wanting), after layers

  std::size_t pass_weight_bytes() const { return forward_->pass_weight_bytes(); }

 private:
  std::span<const float> activations(std::size_t rows) const;

  std::unique_ptr<model::Forward> forward_;
  std::vector<model::SequencePages> pages_;                    // by sequence
  std::vector<std::span<const std::int32_t>> tables_, rings_;  // of them
  std::vector<float> activations_;                             // (room.rows, hidden)
};

}  // namespace sluice::worker
