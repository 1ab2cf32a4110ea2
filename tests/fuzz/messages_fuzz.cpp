// Oracle: a message that was accepted is the one that its value makes.
#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "tests/fuzz/fuzz.h"
#include "worker/batch/prompt_ranges.h"
#include "worker/error.h"
#include "worker/pipeline/local_link.h"
#include "worker/pipeline/messages.h"
#include "worker/supply.h"

namespace sluice {
namespace {

using tests::require;
using worker::pipeline::Bytes;
namespace pipeline = worker::pipeline;

// An admission of 12 bytes becomes 56, in a vector that grows.
constexpr tests::MemoryBound kMemory{.per_byte = 16};
constexpr worker::batch::PlanLimits kLimits{.rows = 24, .pages = {.full = 64, .ring = 32}};
constexpr std::size_t kHidden = 3;

void check_work(const Bytes& message) {
  const auto work = tests::parse_or_refuse<worker::Error>(
      kMemory, message.size(), [&] { return pipeline::read_work(message, kLimits, kHidden); });
  if (!work) return;
  if (work->stop) {
    Bytes again = pipeline::make_stop(work->stamp.window);
    pipeline::stamp_sent(again, work->stamp.sent_s);
    require(again == message, "a stop is made of its window");
    return;
  }
  require(work->plan.rows() <= kLimits.rows, "a plan stays within the stage's limits");
  const std::size_t floats = work->activations.size();
  Bytes again = pipeline::make_work(work->plan, work->stamp.window.opened_s, floats, work->computed_s);
  require(again.size() == message.size(), "work has the size that it is made with");
  std::ranges::copy(work->activations, pipeline::activations_of(again, floats).begin());
  const auto read = pipeline::read_work(again, kLimits, kHidden);
  require(!read.stop && read.plan == work->plan, "a plan survives the wire");
  require(std::ranges::equal(std::as_bytes(read.activations), std::as_bytes(work->activations)),
          "activations survive the wire");
}

void check_choice(const Bytes& message) {
  const auto choice = tests::parse_or_refuse<worker::Error>(
      kMemory, message.size(), [&] { return pipeline::read_choice(message); });
  if (choice) require(pipeline::make_choice(*choice) == message, "a choice survives the wire");
}

void check_head_work(const Bytes& message) {
  const auto work = tests::parse_or_refuse<worker::Error>(
      kMemory, message.size(), [&] { return pipeline::read_head_work(message, kLimits, 3); });
  if (work) require(pipeline::make_head_work(*work) == message, "head work survives the wire");
}

void check_range(const Bytes& message) {
  const auto read = [&] {
    worker::ByteReader in(message);
    const auto range = worker::batch::read_range(in);
    in.finish();
    return range;
  };
  const auto range = tests::parse_or_refuse<worker::Error>(kMemory, message.size(), read);
  if (!range) return;
  require(range->wanted.size() <= worker::batch::kRangeLinesMax, "a range is within its limit");
  worker::ByteWriter out;
  write(*range, out);
  require(out.take() == message, "a range survives the wire");
}

// Between the leaders of two replicas: from rank 0, or to it.
void check_supply(const Bytes& message, int from) {
  pipeline::LocalWorld world(2);
  world.link(from)->send(1 - from, pipeline::Channel::prompts, message);
  const auto link = world.link(1 - from);
  worker::RangedPrompts prompts("/dev/null");
  std::optional<worker::batch::RangeDealer> deals;  // none is left
  if (link->rank() == 0)
    deals.emplace(worker::batch::RangeDealer::Setup{.replicas = 2, .is_done = {}, .offset = {}});
  worker::Supply supply(*link, /*stages=*/1, prompts, std::move(deals));
  const auto stopped = tests::parse_or_refuse<worker::Error>(kMemory, message.size(), [&] {
    supply.attend(/*hungry=*/true);
    return supply.stopped();
  });
  if (!stopped) return;
  const bool has_range = !prompts.all_read();
  require(!has_range || from == 0, "only rank 0 deals");
  require(has_range || message.size() == 1, "a word is a byte");
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const sluice::worker::pipeline::Bytes message(bytes.begin(), bytes.end());
  sluice::check_work(message);
  sluice::check_choice(message);
  sluice::check_head_work(message);
  sluice::check_range(message);
  for (const int from : {0, 1}) sluice::check_supply(message, from);
  return 0;
}
