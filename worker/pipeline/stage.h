// One stage of the pipeline at work: executes its schedule for each micro-batch and accounts for
// its time. The first stage is driven by the leader (run, wait_tokens, stop), the others serve. All
// messages of the window pass here. One thread.
//
// A device of its own may still be at a micro-batch when the stage has enqueued all of it. What is
// to be sent of it then waits, while the next one is taken and enqueued behind it: the device goes
// from one to the other at once, and copies of one overlap the computing of the other.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <variant>
#include <vector>

#include "worker/batch/batch_plan.h"
#include "worker/model/forward.h"
#include "worker/pipeline/link.h"
#include "worker/pipeline/messages.h"
#include "worker/pipeline/patience.h"
#include "worker/pipeline/pieces.h"
#include "worker/pipeline/schedule.h"
#include "worker/pipeline/stage_clock.h"

namespace sluice::worker::pipeline {

struct StageCounts {
  std::int64_t micro_batches = 0, prefill_tokens = 0, decode_tokens = 0;
  std::int64_t decode_micro_batches = 0, decode_sequences = 0;  // those that continue an answer
  std::int64_t messages_sent = 0, bytes_sent = 0;
};

class Stage {
 public:
  // Posts the receives. `limits` are the replica's: token budget and the agreed KV pages.
  // `ranges`: of all stages of the replica.
  Stage(Link& link, model::Forward& forward, const Place& place,
        std::span<const model::StageRange> ranges, const batch::PlanLimits& limits,
        StageClock& clock);

  // A follower's life: obeys plans until the leader says stop.
  void serve();

  // The leader's side. Each run() is answered by one Tokens, in order.
  void run(batch::MicroBatch micro_batch);
  std::optional<Tokens> receive_tokens();                      // if they have come
  Tokens wait_tokens(const std::function<void()>& meanwhile);  // called again and again
  // Tells the others. Requires: the window is closed; all micro-batches have come back.
  void stop();

  const StageCounts& counts() const { return counts_; }

 private:
  void execute(const std::vector<Step>& steps);
  bool take_work(Bytes message);     // false: told to stop
  bool advance_head(Category then);  // by a split head's input, if one has come
  void work_on_micro_batch(Category then);
  void conclude(Category then);
  bool depart_if_done();  // whether what waited for the device has left
  void depart();          // waits until it has
  void pause(Patience& patience) const;
  void send_draws();
  std::optional<Tokens> take_tokens();  // when all choices of a micro-batch are there
  void begin_forward();
  void select();
  void find_or_choose();
  std::vector<sampling::Draw> wait_draws();
  void prepare_work(int to);
  void prepare_choice(int to);
  void send_work(Bytes message, int to, std::uint64_t step);
  void norm_for_head();
  void send_hidden(int to);
  void send_choice(Choice choice, int to);
  void send(int to, Channel channel, Bytes message);
  ComputedSeconds computed_s() const;  // of the stages up to this one
  void progress();

  Link& link_;
  model::Forward& forward_;
  const Place place_;
  const batch::PlanLimits limits_;
  StageClock& clock_;
  const Schedule schedule_;
  const std::vector<int> holders_;  // of the head, whose choices come to the leader
  struct Holder {
    Pieces arriving;
    std::deque<Choice> choices;  // oldest first
  };
  std::vector<Holder> from_;                           // the leader's: of each of them
  std::deque<std::vector<sampling::Draw>> under_way_;  // of micro-batches
  Pieces arriving_draws_;
  StageCounts counts_;

  // What is to be sent of a micro-batch once the device is done with it.
  struct Departure {
    std::variant<Bytes, Choice> what;  // a work message, or choices
    int to = 0;
    std::uint64_t step = 0;
    double prefill_share = 0;
    kernels::Event done;
  };
  std::optional<Departure> departing_;         // that the device is at
  std::optional<StageClock::Work> next_work_;  // that begins when it has left

  std::vector<model::SequencePages> pages_;  // by slot
  double progressed_s_ = 0;                  // when messages were last moved while it computed
  // Of the micro-batch at work.
  batch::MicroBatch at_work_;
  Bytes received_;
  std::span<const float> activations_;
  ComputedSeconds computed_before_s_;  // of the stages before
  std::vector<int> rows_wanting_;
  HeadWork head_work_;  // what a split head sees
  Choice choice_;
  std::optional<Departure> departure_;  // that it ends with
};

}  // namespace sluice::worker::pipeline
