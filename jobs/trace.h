// The timeline of one rank of one run: what it did from when to when, and its messages: the value
// in runs/<run>/trace-<rank>.jsonl (docs/data-model.md, "Timeline"). Times are whole nanoseconds
// since the window of the run opened, on one clock for all ranks, give or take each rank's
// clock_error_s. Values only; what takes a path reads a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/ids.h"

namespace sluice::jobs {

enum class TraceKind : std::uint8_t {
  // A rank's life outside the window.
  launch,
  load,
  preprocess,
  teardown,
  // What holds others: a stage's whole work on one micro-batch, and on a split head's input of one.
  micro_batch,
  head,
  // What a rank is at: exactly one at any moment of the window, none across the border of a work.
  embed,          // the first stage's tokens become activations; admissions and copies of pages
  upload,         // the same for activations that came
  layers,         // all of the stage
  download,       // activations are taken from the device, which is waited for
  norm,           // what a split head is to see
  select,         // the head's product, and the choice of tokens
  pack,           // a message is made
  send,           // and handed over
  receive,        // the part of a wait since the sender began to send
  communication,  // plans are made, messages tested for and taken apart
  sampling,       // stop rules, and who is finished
  output,         // text and result lines; at the end, until the last result is durable
  wait,           // for work that nobody had begun to send
  idle,           // before this stage's first work and after its replica's last
  other,
};
inline constexpr int kTraceKinds = static_cast<int>(TraceKind::other) + 1;
std::string_view to_string(TraceKind kind);
std::optional<TraceKind> parse_trace_kind(std::string_view word);

// Which sum of StageMetrics a moment belongs to.
enum class TraceSum { none, compute, communication, sampling, output, bubble, unattributed };
std::string_view to_string(TraceSum sum);
TraceSum sum_of(TraceKind kind);  // none: outside the window, or it holds others
bool holds_others(TraceKind kind);

struct TraceSpan {
  TraceKind kind = TraceKind::other;
  std::int64_t begin_ns = 0, end_ns = 0;
  std::int64_t micro_batch = -1;              // its number within the replica; -1: not of one
  std::int64_t communication_ns = 0;          // while it computes: of it, for messages to move on
  int prefill_tokens = 0, decode_tokens = 0;  // of a micro_batch

  bool operator==(const TraceSpan&) const = default;
};

// What travels: docs/data-model.md. One of each goes from a rank to another for a micro-batch.
enum class TraceCargo : std::uint8_t { activations, hidden, draws, tokens };
inline constexpr int kTraceCargos = 4;
std::string_view to_string(TraceCargo cargo);
std::optional<TraceCargo> parse_trace_cargo(std::string_view word);

struct TraceMessage {
  bool sent = false;       // else received
  std::int64_t at_ns = 0;  // its sender began to send, or it was there whole
  int peer = 0;            // the other rank
  TraceCargo cargo = TraceCargo::activations;
  std::int64_t micro_batch = 0;
  std::int64_t bytes = 0;  // of one that was sent
  std::optional<std::int64_t> stamp_ns =
      {};  // of one received: when it was sent, as it says itself

  bool operator==(const TraceMessage&) const = default;
};

struct TraceHead {
  RunId run;
  int rank = 0, ranks = 1, replica = 0, stage = 0;
  std::string host;
  std::string layers;            // "15-29 + head"
  double clock_error_s = 0;      // of this rank's times against rank 0's
  std::int64_t began_ns = 0;     // the rank's life, before the window
  std::int64_t window_ns = 0;    // how long the window of the run was
  std::int64_t overwritten = 0;  // spans and messages, the oldest, that there was no room to keep
  std::int64_t spans = 0, messages = 0;  // how many follow
};

struct Trace {
  TraceHead head;
  std::vector<TraceSpan> spans;        // by begin; one that holds others goes before them
  std::vector<TraceMessage> messages;  // by time
};

std::string to_text(const Trace& trace);  // counts what follows the head itself
// Both throw jobs::Error on anything that is no such file, whole, of a known format_version.
Trace parse_trace(std::string_view text);
TraceHead parse_trace_head(std::string_view line);

// Of a run's folder, by rank.
std::vector<std::filesystem::path> trace_files(const std::filesystem::path& run_dir);
// Throw jobs::Error, with the path.
Trace read_trace(const std::filesystem::path& path);
TraceHead read_trace_head(const std::filesystem::path& path);

// A message whose both ends are known: places in what was given.
struct TraceFlow {
  struct End {
    std::size_t trace = 0, message = 0;
  };
  End sent, received;
};
// Requires: traces of different ranks; those of a replica have no message of another.
std::vector<TraceFlow> trace_flows(std::span<const Trace> traces);

}  // namespace sluice::jobs
