#include "worker/pipeline/messages.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "worker/sampling/draw_wire.h"

namespace sluice::worker::pipeline {
namespace {

constexpr std::size_t kAlignment = 16;  // of activations in a message
enum class Kind : std::uint32_t { work = 1, stop = 2 };

template <class Value>
void write_list(const std::vector<Value>& values, ByteWriter& out) {
  out.put(static_cast<std::uint32_t>(values.size()));
  for (const Value& value : values) write(value, out);
}

template <class Value>
std::vector<Value> read_list(ByteReader& in, Value (*read)(ByteReader&)) {
  std::vector<Value> values;
  for (auto count = in.get<std::uint32_t>(); count > 0; --count) values.push_back(read(in));
  return values;
}

void write_head(ByteWriter& out, Kind kind, const Window& window) {
  out.put(Stamp{.sent_s = 0, .window = window});  // first: stamp_sent() knows
  out.put(kind);
}

}  // namespace

Bytes make_work(const batch::BatchPlan& plan, double window_opened_s, std::size_t floats,
                const ComputedSeconds& computed_s) {
  ByteWriter out;
  write_head(out, Kind::work, {.opened_s = window_opened_s});
  write(plan, out);
  out.put_all(computed_s);
  out.align(kAlignment);
  Bytes message = out.take();
  message.resize(message.size() + floats * sizeof(float));
  return message;
}

std::span<float> activations_of(Bytes& work, std::size_t floats) {
  std::byte* const first = work.data() + work.size() - floats * sizeof(float);
  return {reinterpret_cast<float*>(first), floats};
}

Bytes make_stop(const Window& window) {
  ByteWriter out;
  write_head(out, Kind::stop, window);
  return out.take();
}

void stamp_sent(Bytes& message, double sent_s) {
  std::memcpy(message.data() + offsetof(Stamp, sent_s), &sent_s, sizeof sent_s);
}

Work read_work(const Bytes& message, const batch::PlanLimits& limits, std::size_t hidden) {
  ByteReader in(message);
  Work work{
      .stamp = in.get<Stamp>(), .stop = false, .plan = {}, .computed_s = {}, .activations = {}};
  const auto kind = in.get<Kind>();
  if (kind == Kind::stop) {
    in.finish();
    work.stop = true;
    return work;
  }
  if (kind != Kind::work) throw Error("a message between stages is of an unknown kind");
  work.plan = batch::read_plan(in, limits);
  work.computed_s = in.get_all<float>();
  in.align(kAlignment);
  const std::span<const std::byte> rest = in.rest();
  const std::size_t floats = static_cast<std::size_t>(work.plan.rows()) * hidden;
  if (rest.size() != floats * sizeof(float)) {
    throw Error("step " + std::to_string(work.plan.step) + " brought " +
                std::to_string(rest.size()) + " bytes of activations instead of " +
                std::to_string(floats * sizeof(float)));
  }
  work.activations = {reinterpret_cast<const float*>(rest.data()), floats};
  return work;
}

Bytes make_head_work(const HeadWork& work) {
  ByteWriter out;
  out.put(work.sent_s);
  out.put(work.step);
  out.put(work.prefill_share);
  out.put(static_cast<std::uint8_t>(work.has_draws));
  out.put_all(work.hidden);
  return out.take();
}

HeadWork read_head_work(const Bytes& message, const batch::PlanLimits& limits, std::size_t hidden) {
  ByteReader in(message);
  HeadWork work{.sent_s = in.get<double>(),
                .step = in.get<std::uint64_t>(),
                .prefill_share = in.get<double>(),
                .has_draws = in.get<std::uint8_t>() != 0,
                .hidden = in.get_all<float>()};
  in.finish();
  if (work.hidden.size() % hidden != 0 ||
      work.hidden.size() / hidden > static_cast<std::size_t>(limits.rows)) {
    throw Error("step " + std::to_string(work.step) + " brought " +
                std::to_string(work.hidden.size()) + " floats for the head");
  }
  return work;
}

Bytes make_draws(const Draws& draws) {
  ByteWriter out;
  out.put(draws.step);
  write_list(draws.draws, out);
  return out.take();
}

Draws read_draws(const Bytes& message) {
  ByteReader in(message);
  Draws draws{.step = in.get<std::uint64_t>(), .draws = read_list(in, sampling::read_draw)};
  in.finish();
  return draws;
}

Bytes make_choice(const Choice& choice) {
  ByteWriter out;
  out.put(choice.sent_s);
  out.put(choice.step);
  out.put_all(choice.best);
  write_list(choice.findings, out);
  write_list(choice.drawn, out);
  out.put_all(choice.computed_s);
  return out.take();
}

Choice read_choice(const Bytes& message) {
  ByteReader in(message);
  Choice choice{.sent_s = in.get<double>(),
                .step = in.get<std::uint64_t>(),
                .best = in.get_all<kernels::Candidate>(),
                .findings = read_list(in, sampling::read_finding),
                .drawn = read_list(in, sampling::read_drawn),
                .computed_s = in.get_all<float>()};
  in.finish();
  return choice;
}

Tokens combine(std::span<const Choice> choices, std::span<const sampling::Draw> draws) {
  const Choice& first = choices.front();
  Tokens tokens{.sent_s = 0, .step = first.step, .drawn = first.drawn};
  for (const Choice& choice : choices) {
    tokens.sent_s = std::max(tokens.sent_s, choice.sent_s);
    if (choice.computed_s.size() > tokens.computed_s.size()) tokens.computed_s = choice.computed_s;
    if (choice.step != first.step || choice.best.size() != first.best.size() ||
        choice.findings.size() != first.findings.size()) {
      throw Error("the parts of the head do not speak of the same step");
    }
  }
  for (std::size_t i = 0; i < first.best.size(); ++i) {
    const auto best_of = [i](const Choice& choice) { return choice.best[i]; };
    const auto best = std::ranges::min_element(choices, kernels::ranks_before, best_of);
    tokens.drawn.push_back({.id = best->best[i].id});
  }
  if (first.findings.empty()) return tokens;
  if (first.findings.size() != draws.size()) {
    throw Error("the parts of the head do not speak of these draws");
  }
  for (std::size_t i = 0; i < draws.size(); ++i) {
    std::vector<sampling::Finding> findings;
    for (const Choice& choice : choices) findings.push_back(choice.findings[i]);
    tokens.drawn.push_back(choose(draws[i], findings));
  }
  return tokens;
}

// Every page may be given away in one plan, each to a slot of its own, and every row be a segment.
std::size_t work_bytes_max(const batch::PlanLimits& limits, std::size_t hidden) {
  constexpr std::size_t kHead = 256 + kStagesTold * sizeof(float), kSegment = 20;
  // A page is admitted, filled with a copy, and copied to what is kept, each with its frame.
  constexpr std::size_t kPage = 24 + 24 + 8 * model::kPrefixesKept;
  const std::size_t pages =
      static_cast<std::size_t>(limits.pages.full) + static_cast<std::size_t>(limits.pages.ring);
  return kHead + pages * kPage +
         static_cast<std::size_t>(limits.rows) * (kSegment + hidden * sizeof(float));
}

std::size_t head_work_bytes_max(const batch::PlanLimits& limits, std::size_t hidden) {
  return 64 + static_cast<std::size_t>(limits.rows) * hidden * sizeof(float);
}

}  // namespace sluice::worker::pipeline
