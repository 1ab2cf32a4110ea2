#include "worker/pipeline/simulation.h"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <limits>
#include <utility>

#include "worker/pipeline/schedule.h"

namespace sluice::worker::pipeline {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// A micro-batch, or what a split head is to see of it, on its way to a stage.
struct Arrival {
  double at_s = 0;
  batch::BatchPlan plan;
};

struct SimulatedStage {
  Schedule schedule;
  double free_s = 0, compute_s = 0;
  std::deque<Arrival> work = {}, head = {};
};

// The choices of the holders of the head, of one micro-batch.
struct Choices {
  std::uint64_t step = 0;
  std::size_t tokens = 0;
  int missing = 0;
  double all_there_s = 0;
};

class Simulation {
 public:
  Simulation(const SimulatedReplica& replica, batch::Batcher batcher,
             const std::function<std::optional<batch::Sequence>()>& next)
      : replica_(replica), batcher_(std::move(batcher)), next_(next) {
    const int stages = static_cast<int>(replica.ranges.size());
    for (int s = 0; s < stages; ++s) {
      const Place place{.leader = 0, .stage = s, .stages = stages};
      stages_.push_back({.schedule = schedule(place, replica.ranges)});
    }
    holders_ = static_cast<int>(head_holders({.stages = stages}, replica.ranges).size());
  }

  SimulatedRun run() {
    while (true) {
      std::size_t first = 0;
      for (std::size_t s = 1; s < stages_.size(); ++s) {
        if (acts_at(s) < acts_at(first)) first = s;
      }
      if (acts_at(first) == kNever) break;
      stages_[first].free_s = acts_at(first);
      first == 0 ? lead() : follow(first);
    }
    SimulatedRun run{.wall_s = stages_[0].free_s, .micro_batches = micro_batches_};
    for (const auto& stage : stages_) run.compute_s.push_back(stage.compute_s);
    return run;
  }

 private:
  static double front(const std::deque<Arrival>& arrivals) {
    return arrivals.empty() ? kNever : arrivals.front().at_s;
  }

  double acts_at(std::size_t s) const {
    const SimulatedStage& stage = stages_[s];
    double wakes_s = std::min(front(stage.head), front(stage.work));
    if (s == 0) wakes_s = leader_waits_ ? std::min(front(stage.head), tokens_there_s()) : 0;
    return std::max(stage.free_s, wakes_s);
  }

  double tokens_there_s() const {
    if (choices_.empty() || choices_.front().missing > 0) return kNever;
    return choices_.front().all_there_s;
  }

  // As Leader::step() and Stage::wait_tokens() do.
  void lead() {
    SimulatedStage& stage = stages_[0];
    leader_waits_ = false;
    advance_head(0);
    while (tokens_there_s() <= stage.free_s) deliver();
    while (batcher_.wants_sequences()) {
      auto sequence = next_();
      if (!sequence) break;
      batcher_.add(*std::move(sequence));
    }
    auto micro_batch = batcher_.next(stage.free_s);
    if (!micro_batch) {
      leader_waits_ = true;
      return;
    }
    ++micro_batches_;
    stage.free_s += replica_.leader_s;
    choices_.push_back({.step = micro_batch->plan.step,
                        .tokens = static_cast<std::size_t>(micro_batch->plan.tokens_wanted()),
                        .missing = holders_,
                        .all_there_s = 0});
    execute(0, stage.schedule.micro_batch, micro_batch->plan);
  }

  void follow(std::size_t s) {
    if (advance_head(s)) return;
    const Arrival arrival = std::move(stages_[s].work.front());
    stages_[s].work.pop_front();
    execute(s, stages_[s].schedule.micro_batch, arrival.plan);
  }

  bool advance_head(std::size_t s) {
    SimulatedStage& stage = stages_[s];
    if (front(stage.head) > stage.free_s) return false;
    const Arrival arrival = std::move(stage.head.front());
    stage.head.pop_front();
    execute(s, stage.schedule.head, arrival.plan);
    return true;
  }

  void execute(std::size_t s, const std::vector<Step>& steps, const batch::BatchPlan& plan) {
    SimulatedStage& stage = stages_[s];
    const int number = static_cast<int>(s), tokens = plan.tokens_wanted();
    const auto arrives_s = [&](int rows) {
      const std::size_t floats =
          static_cast<std::size_t>(rows) * static_cast<std::size_t>(replica_.hidden);
      return stage.free_s + replica_.network.transfer_s(floats * sizeof(float));
    };
    const auto compute = [&](double seconds) {
      stage.free_s += seconds;
      stage.compute_s += seconds;
    };
    for (const Step& step : steps) {
      const auto peer = static_cast<std::size_t>(std::max(step.peer, 0));
      switch (step.kind) {
        case StepKind::layers:
          compute(replica_.layers_s(number, plan));
          break;
        case StepKind::send_activations:
          stages_[peer].work.push_back({arrives_s(plan.rows()), plan});
          break;
        case StepKind::send_hidden:
          stages_[peer].head.push_back({arrives_s(tokens), plan});
          break;
        case StepKind::select:
          compute(replica_.head_s(number, tokens));
          break;
        case StepKind::send_choice:
          put_choice(plan.step, stage.free_s + replica_.network.latency_s);
          break;
        case StepKind::embed:
        case StepKind::receive_activations:
        case StepKind::final_norm:
        case StepKind::receive_hidden:
          break;
      }
    }
  }

  void put_choice(std::uint64_t step, double at_s) {
    Choices& choices = choices_[static_cast<std::size_t>(step - choices_.front().step)];
    --choices.missing;
    choices.all_there_s = std::max(choices.all_there_s, at_s);
  }

  void deliver() {
    const Choices choices = choices_.front();
    choices_.pop_front();
    batcher_.deliver(choices.step, std::vector<sampling::Drawn>(choices.tokens),
                     choices.all_there_s);
  }

  const SimulatedReplica& replica_;
  batch::Batcher batcher_;
  const std::function<std::optional<batch::Sequence>()>& next_;
  std::vector<SimulatedStage> stages_;
  int holders_ = 0;              // of the head
  std::deque<Choices> choices_;  // of the micro-batches under way, oldest first
  bool leader_waits_ = false;
  std::int64_t micro_batches_ = 0;
};

}  // namespace

SimulatedRun simulate(const SimulatedReplica& replica, batch::Batcher batcher,
                      const std::function<std::optional<batch::Sequence>()>& next) {
  return Simulation(replica, std::move(batcher), next).run();
}

}  // namespace sluice::worker::pipeline
