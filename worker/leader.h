// The first stage of a replica, driving it: prompts in, answers out, every stage fed. Knows nothing
// of files: where prompts come from and where answers go is handed in. One thread, beside the one
// that makes sequences of prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "jobs/results.h"
#include "worker/batch/batcher.h"
#include "worker/engine.h"
#include "worker/intake.h"
#include "worker/model/model.h"
#include "worker/ready_sequences.h"

namespace sluice::worker {

struct LeaderPorts {
  PromptSource prompts;                             // those that are not answered yet
  std::function<void(const jobs::Result&)> answer;  // job, run and replica are not filled in
  std::function<void(int tokens)> generated;        // progress
  // Seconds that each stage has computed in all; now and then.
  std::function<void(const pipeline::ComputedSeconds&)> computed =
      [](const pipeline::ComputedSeconds&) {};
  std::function<bool()> should_stop;   // asked before each prompt is taken and each micro-batch
  std::function<void()> make_durable;  // returns when all answers are
  // Called between steps and while it waits: what else this thread has to see to. hungry: too few
  // prompts are in hand to keep the stages fed.
  std::function<void(bool hungry)> attend = [](bool) {};
};

struct LeaderReport {
  bool stopped = false;  // should_stop() said so: there are prompts left
  std::int64_t prompts_ok = 0, prompts_failed = 0;
  std::int64_t prompt_tokens = 0, output_tokens = 0, wasted_tokens = 0;
  std::int64_t shared_prompt_tokens = 0;  // of prompt_tokens: not computed for their prompt
  std::vector<jobs::Timing> timings;      // of the prompts that were answered
};

class Leader {
 public:
  // `engine` is the first stage's.
  Leader(const model::Model& model, const pipeline::Plan& plan, const IntakeRules& rules,
         Engine& engine, LeaderPorts ports);

  // Opens the window, answers all prompts or stops early, closes the window, and tells the other
  // stages to stop.
  LeaderReport run();

 private:
  bool stopping();
  bool hungry() const;
  void read_ahead();
  void refill();
  bool step();
  void deliver(const pipeline::Tokens& tokens);
  void answer(const batch::Finished& finished);
  jobs::LogProb log_prob(std::int32_t id, double logprob) const;
  std::string text_of(const batch::Sequence& sequence, jobs::FinishReason reason) const;
  void refuse(const RefusedPrompt& refused);
  void wait_for_sequences();
  pipeline::Tokens wait_tokens();

  const model::Model& model_;
  pipeline::Stage& stage_;
  pipeline::StageClock& clock_;
  batch::Batcher batcher_;
  const int prompts_enough_;
  LeaderPorts ports_;
  LeaderReport report_;
  ReadySequences ready_;
};

}  // namespace sluice::worker
