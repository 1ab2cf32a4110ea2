// trace-<rank>.jsonl (docs/job-directory.md): a head, then a line a span or message, a list each.
// Lists, not objects: a long run's file holds tens of thousands.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "jobs/error.h"
#include "jobs/io/json.h"
#include "jobs/io/record.h"
#include "jobs/limits.h"
#include "jobs/trace.h"

namespace sluice::jobs {

// Not in the unnamed namespace: io::Record looks for it beside TraceHead.
static void fields(io::Record& record, TraceHead& head) {
  record.need()("run", head.run);
  record.need()("rank", head.rank);
  record.need()("ranks", head.ranks);
  record("replica", head.replica);
  record("stage", head.stage);
  record("host", head.host);
  record("layers", head.layers);
  record("clock_error_s", head.clock_error_s);
  record("began_ns", head.began_ns);
  record("window_ns", head.window_ns);
  record("overwritten", head.overwritten);
  record.need()("spans", head.spans);
  record.need()("messages", head.messages);
}

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kTimeNsMax = std::int64_t{100} * 365 * 86'400 * 1'000'000'000;  // a century

void append(std::string& out, std::int64_t number) {
  out.append(",").append(std::to_string(number));
}

// What stands at the end of a list and says nothing is left out.
void append(std::string& out, const TraceSpan& span) {
  out.append("[\"").append(to_string(span.kind)).append("\"");
  append(out, span.begin_ns);
  append(out, span.end_ns - span.begin_ns);
  const bool has_tokens = span.prefill_tokens != 0 || span.decode_tokens != 0;
  const bool has_communication = has_tokens || span.communication_ns != 0;
  if (has_communication || span.micro_batch >= 0) append(out, span.micro_batch);
  if (has_communication) append(out, span.communication_ns);
  if (has_tokens) {
    append(out, span.prefill_tokens);
    append(out, span.decode_tokens);
  }
  out.append("]\n");
}

void append(std::string& out, const TraceMessage& message) {
  out.append(message.sent ? "[\"sent\"" : "[\"received\"");
  append(out, message.at_ns);
  append(out, message.peer);
  out.append(",\"").append(to_string(message.cargo)).append("\"");
  append(out, message.micro_batch);
  if (message.sent) {
    append(out, message.bytes);
  } else if (message.stamp_ns) {
    append(out, *message.stamp_ns);
  }
  out.append("]\n");
}

// One line's list, item by item, each checked.
class Items {
 public:
  explicit Items(std::string_view line) : list_(Json::parse(line)) {
    if (!list_.is_array()) throw Error("not a list");
    if (list_.size() > 7) throw Error("more items than any line has");
  }

  bool more() const { return next_ < list_.size(); }

  const std::string& word() {
    const Json& item = take();
    if (!item.is_string()) throw Error("item " + std::to_string(next_) + " is no word");
    return item.get_ref<const std::string&>();
  }

  std::int64_t number(std::int64_t least, std::int64_t most) {
    const Json& item = take();
    const bool fits = item.is_number_integer() &&
                      (!item.is_number_unsigned() ||
                       item.get<std::uint64_t>() <= static_cast<std::uint64_t>(kLargest)) &&
                      item.get<std::int64_t>() >= least && item.get<std::int64_t>() <= most;
    if (!fits) {
      throw Error("item " + std::to_string(next_) + " is no whole number from " +
                  std::to_string(least) + " to " + std::to_string(most));
    }
    return item.get<std::int64_t>();
  }
  std::int64_t count() { return number(0, kLargest); }
  std::int64_t time_ns() { return number(-kTimeNsMax, kTimeNsMax); }

 private:
  static constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

  const Json& take() {
    if (!more()) throw Error("an item is missing");
    return list_[next_++];
  }

  Json list_;
  std::size_t next_ = 0;
};

TraceSpan span_of(TraceKind kind, Items& items) {
  constexpr int kTokensMax = std::numeric_limits<int>::max();
  TraceSpan span{.kind = kind};
  span.begin_ns = items.time_ns();
  span.end_ns = span.begin_ns + items.number(0, kTimeNsMax);
  if (items.more()) span.micro_batch = items.number(-1, std::numeric_limits<std::int64_t>::max());
  if (items.more()) span.communication_ns = items.number(0, kTimeNsMax);
  if (items.more()) {
    span.prefill_tokens = static_cast<int>(items.number(0, kTokensMax));
    span.decode_tokens = static_cast<int>(items.number(0, kTokensMax));
  }
  return span;
}

TraceMessage message_of(bool sent, Items& items) {
  TraceMessage message{.sent = sent};
  message.at_ns = items.time_ns();
  message.peer = static_cast<int>(items.number(0, kRanksMax - 1));
  const std::string& word = items.word();
  const auto cargo = parse_trace_cargo(word);
  if (!cargo) throw Error("no message carries such a thing");
  message.cargo = *cargo;
  message.micro_batch = items.count();
  if (sent) {
    message.bytes = items.count();
  } else if (items.more()) {
    message.stamp_ns = items.time_ns();
  }
  return message;
}

void add_line(std::string_view line, Trace& trace) {
  if (line.size() > kTraceLineBytesMax) throw Error("longer than any line of a trace");
  try {
    Items items(line);
    const std::string word = items.word();
    if (word == "sent" || word == "received") {
      trace.messages.push_back(message_of(word == "sent", items));
    } else if (const auto kind = parse_trace_kind(word)) {
      trace.spans.push_back(span_of(*kind, items));
    } else {
      throw Error("nothing that a rank does is called so");
    }
    if (items.more()) throw Error("an item too many");
  } catch (const Json::exception& error) {
    throw Error("no valid JSON: " + io::describe_json_error(error));
  }
}

bool is_possible(const TraceHead& head) {
  const auto is_time = [](std::int64_t ns) { return ns >= -kTimeNsMax && ns <= kTimeNsMax; };
  return head.ranks >= 1 && head.ranks <= kRanksMax && head.rank >= 0 && head.rank < head.ranks &&
         head.replica >= 0 && head.stage >= 0 && is_time(head.began_ns) &&
         is_time(head.window_ns) && head.window_ns >= 0 && head.overwritten >= 0 &&
         head.spans >= 0 && head.messages >= 0;
}

}  // namespace

std::string to_text(const Trace& trace) {
  constexpr std::size_t kUsualLineBytes = 48;
  TraceHead head = trace.head;
  head.spans = static_cast<std::int64_t>(trace.spans.size());
  head.messages = static_cast<std::int64_t>(trace.messages.size());
  std::string text = nlohmann::ordered_json::parse(io::write_record(head)).dump() + "\n";
  text.reserve(text.size() + kUsualLineBytes * (trace.spans.size() + trace.messages.size()));
  for (const TraceSpan& span : trace.spans) append(text, span);
  for (const TraceMessage& message : trace.messages) append(text, message);
  return text;
}

TraceHead parse_trace_head(std::string_view line) {
  auto head = io::read_record<TraceHead>(line, "trace");
  if (!is_possible(head)) throw Error("trace: its head holds a number that is out of range");
  return head;
}

Trace parse_trace(std::string_view text) {
  const auto end_of_line = [&] { return text.find('\n'); };
  Trace trace;
  std::size_t end = end_of_line();
  if (end == std::string_view::npos || end > kTraceLineBytesMax) {
    throw Error("trace: it does not begin with the line of its head");
  }
  trace.head = parse_trace_head(text.substr(0, end));
  text.remove_prefix(end + 1);
  for (std::int64_t line = 2; !text.empty(); ++line) {
    end = end_of_line();
    try {
      if (end == std::string_view::npos) throw Error("cut short");
      add_line(text.substr(0, end), trace);
    } catch (const Error& error) {
      throw Error("trace, line " + std::to_string(line) + ": " + error.what());
    }
    text.remove_prefix(end + 1);
  }
  if (static_cast<std::int64_t>(trace.spans.size()) != trace.head.spans ||
      static_cast<std::int64_t>(trace.messages.size()) != trace.head.messages) {
    throw Error("trace: it holds " + std::to_string(trace.spans.size()) + " spans and " +
                std::to_string(trace.messages.size()) + " messages, where its head says " +
                std::to_string(trace.head.spans) + " and " + std::to_string(trace.head.messages));
  }
  return trace;
}

}  // namespace sluice::jobs
