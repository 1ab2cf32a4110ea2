// One rank's share of an agreed plan, ready to work: its backend, its weights and KV cache, its
// stage and the clock of its window. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/backend.h"
#include "worker/model/forward.h"
#include "worker/model/kv_pages.h"
#include "worker/pipeline/agreement.h"
#include "worker/pipeline/collective.h"
#include "worker/pipeline/stage.h"

namespace sluice::worker {

struct EngineSetup {
  std::function<std::unique_ptr<kernels::Backend>()> make_backend;
  kernels::KvType kv_type = kernels::KvType::f16;
  std::int64_t prompts = 0;        // of the job
  int max_tokens = 0;              // usual output of a prompt
  std::uint64_t memory_bytes = 0;  // of the host's, that this rank may call its own
};

class Engine {
 public:
  struct Loaded {
    std::string problem;  // which rank's and what; empty: the engine is there
    std::unique_ptr<Engine> engine = {};
  };
  // Collective: every rank loads its stage, all agree on the KV room, and clocks are aligned. When
  // one rank fails, all get its problem.
  static Loaded load(pipeline::Link& world, const model::Model& model, const pipeline::Plan& plan,
                     const EngineSetup& setup);

  pipeline::Stage& stage() { return *stage_; }
  const pipeline::Stage& stage() const { return *stage_; }
  pipeline::StageClock& clock() { return clock_; }
  const pipeline::StageClock& clock() const { return clock_; }
  const model::Forward& forward() const { return *forward_; }
  const pipeline::ClockOffset& clock_offset() const { return offset_; }
  const model::KvRoom& kv_room() const { return kv_room_; }

  // Collective, after the window.
  void realign_clocks();
  // The error of both alignments and what the clocks drifted in between.
  double clock_error_s() const { return clock_error_s_; }

 private:
  explicit Engine(pipeline::Link& world);

  pipeline::Link& world_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<model::Forward> forward_;
  model::KvRoom kv_room_;
  pipeline::ClockOffset offset_;
  double clock_error_s_ = 0;
  pipeline::StageClock clock_;
  std::unique_ptr<pipeline::Stage> stage_;
};

}  // namespace sluice::worker
