#include "worker/leader.h"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "worker/pipeline/patience.h"

namespace sluice::worker {

using pipeline::Category;
using pipeline::Charge;
using pipeline::Patience;

namespace {

constexpr std::size_t kMicroBatchesReady = 4;  // full ones, made ahead of need

}  // namespace

Leader::Leader(const model::Model& model, const pipeline::Plan& plan, const IntakeRules& rules,
               Engine& engine, LeaderPorts ports)
    : model_(model),
      stage_(engine.stage()),
      clock_(engine.clock()),
      batcher_({.batch_size = plan.batch_size,
                .token_budget = plan.token_budget,
                .stages = plan.stages(),
                .prefix_sharing = plan.prefix_sharing},
               model::PagePool(engine.kv_room(), kv_layout(model.config(), plan.token_budget))),
      prompts_enough_((plan.stages() + 1) * plan.batch_size),
      ports_(std::move(ports)),
      ready_({.model = model,
              .rules = rules,
              .ready_max = kMicroBatchesReady * static_cast<std::size_t>(plan.batch_size)},
             ports_.prompts) {}

LeaderReport Leader::run() {
  read_ahead();
  clock_.open(clock_.now());
  while (!stopping() && step()) continue;
  // What is under way comes back even when the run stops: the stages owe it, and it may finish.
  while (batcher_.steps_under_way() > 0) deliver(wait_tokens());
  report_.wasted_tokens = batcher_.unfinished_output_tokens();

  clock_.switch_to(Category::output);
  ports_.make_durable();
  clock_.close(clock_.now());
  stage_.stop();
  return std::move(report_);
}

bool Leader::stopping() {
  if (!report_.stopped) report_.stopped = ports_.should_stop();
  return report_.stopped;
}

bool Leader::hungry() const {
  return batcher_.in_hand() + static_cast<int>(ready_.size()) < prompts_enough_;
}

// One thing after another that keeps the stages fed; false: nothing is left to do.
bool Leader::step() {
  clock_.switch_to(Category::communication);  // making plans and taking messages apart is packing
  while (const auto tokens = stage_.receive_tokens()) deliver(*tokens);
  ports_.attend(hungry());
  refill();
  auto micro_batch = batcher_.next(clock_.now());
  if (micro_batch) {
    stage_.run(*std::move(micro_batch));
  } else if (batcher_.steps_under_way() > 0) {
    deliver(wait_tokens());
  } else {
    if (batcher_.idle() && ready_.ended()) return false;
    wait_for_sequences();
  }
  return true;
}

// Until all that can be made ahead of need is: no window opens to wait for a tokenizer.
void Leader::read_ahead() {
  for (Patience patience; ready_.at_work() || (ready_.size() == 0 && !ready_.ended());
       patience.pause()) {
    if (stopping()) return;
    ports_.attend(hungry());
  }
}

void Leader::refill() {
  while (batcher_.wants_sequences() && !stopping()) {
    auto taken = ready_.take();
    if (!taken) return;
    if (const auto* refused = std::get_if<RefusedPrompt>(&*taken)) {
      refuse(*refused);
      return;  // thousands of these must not keep the stages waiting
    }
    batcher_.add(std::get<batch::Sequence>(*std::move(taken)));
  }
}

// Nothing is under way, and no sequence is ready.
void Leader::wait_for_sequences() {
  clock_.switch_to(Category::bubble);
  for (Patience patience; ready_.size() == 0 && !ready_.ended() && !stopping(); patience.pause()) {
    ports_.attend(hungry());
  }
}

// Takes no other prompts meanwhile: one range a step at most, or the replica whose messages take
// the shortest way would have them all.
pipeline::Tokens Leader::wait_tokens() {
  return stage_.wait_tokens([this] { ports_.attend(/*hungry=*/false); });
}

void Leader::deliver(const pipeline::Tokens& tokens) {
  const auto finished = [&] {
    const Charge charge(clock_, {Category::sampling, jobs::TraceKind::sampling,
                                 static_cast<std::int64_t>(tokens.step)});
    ports_.generated(static_cast<int>(tokens.drawn.size()));
    ports_.computed(tokens.computed_s);
    return batcher_.deliver(tokens.step, tokens.drawn, clock_.now());
  }();
  for (const batch::Finished& each : finished) answer(each);
}

void Leader::answer(const batch::Finished& finished) {
  const Charge charge(clock_, Category::output);
  const batch::Sequence& sequence = finished.sequence;
  jobs::Result result;
  result.id = sequence.id;
  result.index = sequence.index;
  result.sample = sequence.sample;
  result.token_ids.assign(sequence.tokens.begin() + sequence.prompt_tokens, sequence.tokens.end());
  result.finish_reason = finished.reason;
  result.prompt_tokens = sequence.prompt_tokens;
  result.text = text_of(sequence, finished.reason);
  if (sequence.scored) {
    result.prompt_tokens = sequence.scored->tokens();
    result.score = sequence.scored->score();
  }
  for (const sampling::Drawn& drawn : sequence.scored ? sequence.scored->drawn() : sequence.drawn) {
    jobs::TokenLogProbs& token = result.logprobs.emplace_back();
    token.chosen = log_prob(drawn.id, *drawn.logprob);
    for (const auto& [id, logprob] : drawn.top) token.top.push_back(log_prob(id, logprob));
  }
  result.timing.queue_s = sequence.admitted_s - clock_.opened_s();
  if (!sequence.scored) result.timing.ttft_s = sequence.first_token_s - sequence.admitted_s;
  result.timing.latency_s = sequence.last_token_s - sequence.admitted_s;
  if (sequence.output_tokens() > 1) {
    result.timing.tpot_s =
        (sequence.last_token_s - sequence.first_token_s) / (sequence.output_tokens() - 1);
  }
  ++report_.prompts_ok;
  report_.prompt_tokens += result.prompt_tokens;
  report_.shared_prompt_tokens += sequence.shared;
  report_.output_tokens += sequence.output_tokens();
  report_.timings.push_back(result.timing);
  ports_.answer(result);
}

jobs::LogProb Leader::log_prob(std::int32_t id, double logprob) const {
  return {.id = id, .logprob = logprob, .token = model_.tokenizer().piece(id)};
}

// A token that ends the answer has no text, and a string that does, and what follows it, neither.
std::string Leader::text_of(const batch::Sequence& sequence, jobs::FinishReason reason) const {
  auto spoken =
      std::span(sequence.tokens).subspan(static_cast<std::size_t>(sequence.prompt_tokens));
  const bool by_token = reason == jobs::FinishReason::stop && !sequence.text_bytes;
  if (by_token) spoken = spoken.first(spoken.size() - 1);
  std::string text = model_.tokenizer().decode(spoken, /*skip_special=*/true);
  if (sequence.text_bytes) text.resize(std::min(text.size(), *sequence.text_bytes));
  return text;
}

void Leader::refuse(const RefusedPrompt& refused) {
  const Charge charge(clock_, Category::output);
  jobs::Result result;
  result.id = refused.id;
  result.index = refused.index;
  result.sample = refused.sample;
  result.finish_reason = jobs::FinishReason::error;
  result.error = refused.error;
  ++report_.prompts_failed;
  ports_.answer(result);
}

}  // namespace sluice::worker
