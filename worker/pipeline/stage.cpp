#include "worker/pipeline/stage.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "worker/error.h"
#include "worker/model/kv_pages.h"
#include "worker/pipeline/own_head.h"
#include "worker/pipeline/patience.h"

namespace sluice::worker::pipeline {
namespace {

using jobs::TraceCargo;
using jobs::TraceKind;

// Receives posted ahead on each channel: more than micro-batches that a usual job has between two
// stages; beyond it messages wait at their sender.
constexpr int kReceivesPosted = 4;

// How often messages are moved while a stage computes: each time costs some microseconds, and only
// large ones, of prompts, take several.
constexpr double kProgressEvery_s = 4e-3;

Doing computing(TraceKind kind, std::uint64_t step) {
  return {Category::compute, kind, static_cast<std::int64_t>(step)};
}

Doing communicating(TraceKind kind, std::uint64_t step) {
  return {Category::communication, kind, static_cast<std::int64_t>(step)};
}

StageTrace::Message message_of(TraceCargo cargo, int peer, std::uint64_t step) {
  return {.peer = peer, .cargo = cargo, .micro_batch = static_cast<std::int64_t>(step)};
}

}  // namespace

Stage::Stage(Link& link, model::Forward& forward, const Place& place,
             std::span<const model::StageRange> ranges, const batch::PlanLimits& limits,
             StageClock& clock)
    : link_(link),
      forward_(forward),
      place_(place),
      limits_(limits),
      clock_(clock),
      schedule_(schedule(place, ranges)),
      holders_(head_holders(place, ranges)),
      from_(place.stage == 0 ? holders_.size() : 0) {
  const auto hidden = static_cast<std::size_t>(forward.hidden());
  for (const Step& step : schedule_.micro_batch) {
    if (step.kind == StepKind::receive_activations) {
      link.expect(step.peer, Channel::micro_batch, work_bytes_max(limits, hidden), kReceivesPosted);
    }
  }
  for (const Step& step : schedule_.head) {
    if (step.kind == StepKind::receive_hidden) {
      link.expect(step.peer, Channel::head, head_work_bytes_max(limits, hidden), kReceivesPosted);
    }
  }
  // Tokens are no step of the leader's: they come back while it is at other micro-batches.
  if (place.stage == 0) {
    for (const int holder : holders_) {
      link.expect(holder, Channel::tokens, kPieceBytes, kReceivesPosted);
    }
  }
  if (std::ranges::find(holders_, place.leader + place.stage) != holders_.end()) {
    link.expect(place.leader, Channel::draws, kPieceBytes, kReceivesPosted);
  }
}

void Stage::serve() {
  clock_.switch_to(Category::bubble);
  while (true) {
    for (Patience patience;; pause(patience)) {
      if (depart_if_done()) patience = {};
      if (advance_head(Category::bubble)) break;  // first: an answer waits for it
      auto message = link_.receive(place_.leader + place_.stage - 1, Channel::micro_batch);
      if (!message) continue;
      if (!take_work(*std::move(message))) return;
      work_on_micro_batch(Category::bubble);
      break;
    }
  }
}

void Stage::run(batch::MicroBatch micro_batch) {
  at_work_ = std::move(micro_batch);
  under_way_.push_back(std::move(at_work_.draws));
  if (at_work_.plan.has_draws) send_draws();
  clock_.switch_to(computing(TraceKind::embed, at_work_.plan.step));
  work_on_micro_batch(Category::communication);
}

void Stage::send_draws() {
  const std::uint64_t step = at_work_.plan.step;
  clock_.switch_to(communicating(TraceKind::send, step));
  const double sent_s = clock_.begun_s();
  const Bytes message = make_draws({.step = step, .draws = under_way_.back()});
  for (const int holder : holders_) {
    send_in_pieces(link_, holder, Channel::draws, message);
    clock_.sent(message_of(TraceCargo::draws, holder, step), sent_s, message.size());
  }
}

bool Stage::advance_head(Category then) {
  if (schedule_.head.empty()) return false;
  const int last = place_.leader + place_.stages - 1;
  const auto message = link_.receive(last, Channel::head);
  if (!message) return false;
  head_work_ = read_head_work(*message, limits_, static_cast<std::size_t>(forward_.hidden()));
  clock_.end_wait(head_work_.sent_s, computing(TraceKind::select, head_work_.step));
  clock_.received(message_of(TraceCargo::hidden, last, head_work_.step), clock_.begun_s(),
                  head_work_.sent_s);
  clock_.begin_work(
      {.kind = TraceKind::head, .micro_batch = static_cast<std::int64_t>(head_work_.step)});
  execute(schedule_.head);
  conclude(then);
  return true;
}

// Requires: the clock has switched to its first step.
void Stage::work_on_micro_batch(Category then) {
  const batch::BatchPlan& plan = at_work_.plan;
  const StageClock::Work work{.kind = TraceKind::micro_batch,
                              .micro_batch = static_cast<std::int64_t>(plan.step),
                              .prefill_tokens = plan.rows() - plan.decode_rows(),
                              .decode_tokens = plan.decode_rows()};
  if (departing_) {
    next_work_ = work;
  } else {
    clock_.begin_work(work);
  }
  execute(schedule_.micro_batch);
  conclude(then);
}

void Stage::conclude(Category then) {
  depart();  // the micro-batch before, first
  if (!departure_) return clock_.end_work(head_work_.prefill_share, then);
  departing_ = std::exchange(departure_, std::nullopt);
  departing_->prefill_share = head_work_.prefill_share;
  departing_->done = forward_.mark();
  clock_.hold();
  clock_.switch_to(then);
  // An answer of a split head would wait for the layers of what is enqueued before it.
  const bool may_wait = schedule_.head.empty() && !forward_.range().head_is_split;
  if (!depart_if_done() && !may_wait) depart();
}

bool Stage::depart_if_done() {
  if (!departing_ || !forward_.is_done(departing_->done)) return false;
  Departure gone = *std::exchange(departing_, std::nullopt);
  const Doing host = clock_.release(communicating(TraceKind::send, gone.step));
  if (auto* const message = std::get_if<Bytes>(&gone.what)) {
    send_work(std::move(*message), gone.to, gone.step);
  } else {
    send_choice(std::move(std::get<Choice>(gone.what)), gone.to);
  }
  clock_.end_work(gone.prefill_share, host);
  if (const auto next = std::exchange(next_work_, std::nullopt)) clock_.begin_work(*next);
  return true;
}

void Stage::depart() {
  while (departing_) progress();
}

// Who waits for the device looks again at once: it says nothing by itself.
void Stage::pause(Patience& patience) const {
  if (!departing_) patience.pause();
}

void Stage::execute(const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    switch (step.kind) {
      case StepKind::receive_activations:
        begin_forward();
        forward_.upload(activations_);
        break;
      case StepKind::embed:
        begin_forward();
        forward_.embed(at_work_.tokens);
        break;
      case StepKind::layers:
        clock_.switch_to(computing(TraceKind::layers, at_work_.plan.step));
        progressed_s_ = clock_.begun_s();  // messages were just looked at
        forward_.layers([this] { progress(); });
        break;
      case StepKind::send_activations:
        prepare_work(step.peer);
        break;
      case StepKind::final_norm:
        norm_for_head();
        break;
      case StepKind::send_hidden:
        send_hidden(step.peer);
        break;
      case StepKind::receive_hidden:
        break;  // it has come: advance_head()
      case StepKind::select:
        select();
        break;
      case StepKind::send_choice:
        prepare_choice(step.peer);
        break;
    }
  }
}

bool Stage::take_work(Bytes message) {
  received_ = std::move(message);
  Work work = read_work(received_, limits_, static_cast<std::size_t>(forward_.hidden()));
  const Window& window = work.stamp.window;
  if (!clock_.is_open()) clock_.open(window.opened_s);
  if (work.stop) {
    // Whatever it was waiting for until the window closed, it was not this message.
    clock_.close(window.closed_s);
    stop();
    return false;
  }
  clock_.end_wait(work.stamp.sent_s, computing(TraceKind::upload, work.plan.step));
  clock_.received(
      message_of(TraceCargo::activations, place_.leader + place_.stage - 1, work.plan.step),
      clock_.begun_s(), work.stamp.sent_s);
  at_work_.plan = std::move(work.plan);
  computed_before_s_ = std::move(work.computed_s);
  activations_ = work.activations;
  return true;
}

void Stage::begin_forward() {
  const batch::BatchPlan& plan = at_work_.plan;
  for (const batch::Admission& admission : plan.admissions) {
    const auto slot = static_cast<std::size_t>(admission.slot);
    if (slot >= pages_.size()) pages_.resize(slot + 1);
    pages_[slot] = admission.pages;
  }
  for (const batch::PageCopies& copies : plan.copies) {
    forward_.copy_pages(copies.full_from, copies.full_to, /*of_rings=*/false);
    forward_.copy_pages(copies.ring_from, copies.ring_to, /*of_rings=*/true);
  }
  std::vector<kernels::Row> rows;
  std::vector<std::span<const std::int32_t>> page_tables, rings;
  rows_wanting_.clear();
  for (const batch::Segment& segment : plan.segments) {
    const auto slot = static_cast<std::size_t>(segment.slot);
    const int end = segment.first_position + segment.tokens;
    if (slot >= pages_.size()) {
      throw Error("step " + std::to_string(plan.step) + " names a slot that nothing took");
    }
    for (int position = segment.first_position; position < end; ++position) {
      rows.push_back({.sequence = static_cast<int>(page_tables.size()), .position = position});
    }
    page_tables.emplace_back(pages_[slot].full);
    rings.emplace_back(pages_[slot].ring);
    for (int wanted = segment.wanted; wanted > 0; --wanted) {
      rows_wanting_.push_back(static_cast<int>(rows.size()) - wanted);
    }
  }
  forward_.begin(rows, page_tables, rings);
  ++counts_.micro_batches;
  if (plan.decode_rows() > 0) {
    ++counts_.decode_micro_batches;
    counts_.decode_sequences += static_cast<std::int64_t>(plan.segments.size());
  }
  counts_.decode_tokens += plan.decode_rows();
  counts_.prefill_tokens += plan.rows() - plan.decode_rows();
  head_work_ = {.sent_s = 0,
                .step = plan.step,
                .prefill_share = 1.0 - static_cast<double>(plan.decode_rows()) / plan.rows(),
                .has_draws = plan.has_draws,
                .hidden = {}};
}

// As far as it is divided: up to the micro-batch before.
ComputedSeconds Stage::computed_s() const {
  ComputedSeconds all = computed_before_s_;
  const bool is_told =
      all.size() == static_cast<std::size_t>(place_.stage) && all.size() < kStagesTold;
  if (!is_told) return {};
  all.push_back(
      static_cast<float>(clock_.seconds(Category::prefill) + clock_.seconds(Category::decode)));
  return all;
}

void Stage::norm_for_head() {
  clock_.switch_to(computing(TraceKind::norm, head_work_.step));
  head_work_.hidden.resize(rows_wanting_.size() * static_cast<std::size_t>(forward_.hidden()));
  forward_.present(rows_wanting_);
  forward_.hidden(head_work_.hidden);
  forward_.finish([this] { progress(); });
}

void Stage::select() {
  clock_.switch_to(computing(TraceKind::select, head_work_.step));
  std::size_t rows = rows_wanting_.size();
  if (forward_.range().head_is_split) {
    rows = head_work_.hidden.size() / static_cast<std::size_t>(forward_.hidden());
    forward_.present(head_work_.hidden);
  } else {
    forward_.present(rows_wanting_);
  }
  choice_ = {.sent_s = 0, .step = head_work_.step};
  if (head_work_.has_draws) return find_or_choose();
  choice_.best.resize(rows);
  forward_.select(1, choice_.best);
}

// One holder of the whole head has all that it takes to choose.
void Stage::find_or_choose() {
  const std::vector<sampling::Draw> draws = wait_draws();
  OwnHead head(forward_, [this] { progress(); });
  choice_.findings = find(head, draws);
  if (forward_.range().head_is_split) return;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    choice_.drawn.push_back(choose(draws[i], std::span(choice_.findings).subspan(i, 1)));
  }
  choice_.findings.clear();
}

// They were sent before the micro-batch, but by another way.
std::vector<sampling::Draw> Stage::wait_draws() {
  const Charge charge(clock_, communicating(TraceKind::receive, head_work_.step));
  for (Patience patience;; patience.pause()) {
    const auto piece = link_.receive(place_.leader, Channel::draws);
    if (!piece) continue;
    const auto message = arriving_draws_.add(*piece);
    if (!message) continue;
    Draws draws = read_draws(*message);
    clock_.received(message_of(TraceCargo::draws, place_.leader, draws.step), clock_.now(),
                    std::numeric_limits<double>::quiet_NaN());
    if (draws.step == head_work_.step) return std::move(draws.draws);
    throw Error("draws of step " + std::to_string(draws.step) + " came for step " +
                std::to_string(head_work_.step));
  }
}

void Stage::prepare_work(int to) {
  const std::uint64_t step = at_work_.plan.step;
  clock_.switch_to(communicating(TraceKind::pack, step));
  const std::size_t floats =
      static_cast<std::size_t>(at_work_.plan.rows()) * static_cast<std::size_t>(forward_.hidden());
  Bytes message = make_work(at_work_.plan, clock_.opened_s(), floats, computed_s());
  clock_.switch_to(computing(TraceKind::download, step));
  forward_.download(activations_of(message, floats));
  departure_ = {.what = std::move(message), .to = to, .step = step, .done = {}};
}

void Stage::send_work(Bytes message, int to, std::uint64_t step) {
  stamp_sent(message, clock_.begun_s());
  clock_.sent(message_of(TraceCargo::activations, to, step), clock_.begun_s(), message.size());
  send(to, Channel::micro_batch, std::move(message));
}

void Stage::send_hidden(int to) {
  clock_.switch_to(communicating(TraceKind::send, head_work_.step));
  head_work_.sent_s = clock_.begun_s();
  Bytes message = make_head_work(head_work_);
  clock_.sent(message_of(TraceCargo::hidden, to, head_work_.step), head_work_.sent_s,
              message.size());
  send(to, Channel::head, std::move(message));
}

void Stage::prepare_choice(int to) {
  choice_.computed_s = computed_s();
  departure_ = {.what = std::move(choice_), .to = to, .step = head_work_.step, .done = {}};
}

void Stage::send_choice(Choice choice, int to) {
  for (kernels::Candidate& candidate : choice.best) candidate.id += forward_.first_head_id();
  choice.sent_s = clock_.begun_s();
  const std::size_t bytes = send_in_pieces(link_, to, Channel::tokens, make_choice(choice));
  clock_.sent(message_of(TraceCargo::tokens, to, choice.step), choice.sent_s, bytes);
  counts_.bytes_sent += static_cast<std::int64_t>(bytes);
  ++counts_.messages_sent;
}

std::optional<Tokens> Stage::receive_tokens() {
  const Charge charge(clock_, Category::communication);
  depart_if_done();
  advance_head(Category::communication);
  return take_tokens();
}

Tokens Stage::wait_tokens(const std::function<void()>& meanwhile) {
  clock_.switch_to(Category::bubble);
  for (Patience patience;; pause(patience)) {
    if (depart_if_done()) patience = {};
    if (advance_head(Category::bubble)) patience = {};
    if (auto tokens = take_tokens()) {
      clock_.end_wait(tokens->sent_s, communicating(TraceKind::communication, tokens->step));
      return *std::move(tokens);
    }
    meanwhile();
  }
}

std::optional<Tokens> Stage::take_tokens() {
  bool all_there = true;
  for (std::size_t i = 0; i < holders_.size(); ++i) {
    while (const auto piece = link_.receive(holders_[i], Channel::tokens)) {
      if (const auto message = from_[i].arriving.add(*piece)) {
        const Choice& choice = from_[i].choices.emplace_back(read_choice(*message));
        clock_.received(message_of(TraceCargo::tokens, holders_[i], choice.step), clock_.now(),
                        choice.sent_s);
      }
    }
    all_there = all_there && !from_[i].choices.empty();
  }
  if (!all_there) return std::nullopt;
  std::vector<Choice> of_step;
  for (Holder& holder : from_) {
    of_step.push_back(std::move(holder.choices.front()));
    holder.choices.pop_front();
  }
  Tokens tokens = combine(of_step, under_way_.front());
  under_way_.pop_front();
  return tokens;
}

void Stage::stop() {
  if (place_.stage + 1 == place_.stages) return;
  Bytes message = make_stop({.opened_s = clock_.opened_s(), .closed_s = clock_.closed_s()});
  stamp_sent(message, clock_.now());
  send(place_.leader + place_.stage + 1, Channel::micro_batch, std::move(message));
}

void Stage::send(int to, Channel channel, Bytes message) {
  ++counts_.messages_sent;
  counts_.bytes_sent += static_cast<std::int64_t>(message.size());
  link_.send(to, channel, std::move(message));
}

// Called between layers, which may take a twentieth of it, and while the device is waited for. A
// stage by itself has no messages that are large.
void Stage::progress() {
  if (depart_if_done() || place_.stages == 1) return;  // it may compute no longer
  const double now_s = clock_.now();
  if (now_s - progressed_s_ < kProgressEvery_s) return;
  progressed_s_ = now_s;
  const Aside aside(clock_);
  link_.progress();
}

}  // namespace sluice::worker::pipeline
