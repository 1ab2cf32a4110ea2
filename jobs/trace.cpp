#include "jobs/trace.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <system_error>
#include <tuple>

#include "jobs/error.h"
#include "jobs/files.h"
#include "jobs/io/line_reader.h"
#include "jobs/limits.h"

namespace sluice::jobs {
namespace {

struct KindWords {
  std::string_view word;
  TraceSum sum;
};
// By TraceKind.
constexpr std::array<KindWords, kTraceKinds> kKinds{
    {{"launch", TraceSum::none},           {"load", TraceSum::none},
     {"preprocess", TraceSum::none},       {"teardown", TraceSum::none},
     {"micro_batch", TraceSum::none},      {"head", TraceSum::none},
     {"embed", TraceSum::compute},         {"upload", TraceSum::compute},
     {"layers", TraceSum::compute},        {"download", TraceSum::compute},
     {"norm", TraceSum::compute},          {"select", TraceSum::compute},
     {"pack", TraceSum::communication},    {"send", TraceSum::communication},
     {"receive", TraceSum::communication}, {"communication", TraceSum::communication},
     {"sampling", TraceSum::sampling},     {"output", TraceSum::output},
     {"wait", TraceSum::bubble},           {"idle", TraceSum::bubble},
     {"other", TraceSum::unattributed}}};
constexpr std::array<std::string_view, kTraceCargos> kCargos{"activations", "hidden", "draws",
                                                             "tokens"};
constexpr std::array<std::string_view, 7> kSums{"none",   "compute", "communication", "sampling",
                                                "output", "bubble",  "unattributed"};

// The rank of "trace-<rank>.jsonl"; nullopt for any other name.
std::optional<int> rank_of(const std::filesystem::path& path) {
  constexpr std::string_view kBegin = "trace-", kEnd = ".jsonl";
  const std::string name = path.filename().string();
  if (!name.starts_with(kBegin) || !name.ends_with(kEnd)) return std::nullopt;
  int rank = -1;
  const char* const end = name.data() + name.size() - kEnd.size();
  const auto parsed = std::from_chars(name.data() + kBegin.size(), end, rank);
  if (parsed.ec != std::errc() || parsed.ptr != end || rank < 0) return std::nullopt;
  return rank;
}

// What `read` makes of a file; what is wrong with it is said with its path.
template <class Read>
auto read_named(const std::filesystem::path& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    const std::string why = error.what();
    if (why.find(path.string()) != std::string::npos) throw;
    throw Error(path.string() + ": " + why);
  }
}

}  // namespace

std::string_view to_string(TraceKind kind) { return kKinds[static_cast<std::size_t>(kind)].word; }

std::optional<TraceKind> parse_trace_kind(std::string_view word) {
  const auto found = std::ranges::find(kKinds, word, &KindWords::word);
  if (found == kKinds.end()) return std::nullopt;
  return static_cast<TraceKind>(found - kKinds.begin());
}

std::string_view to_string(TraceSum sum) { return kSums[static_cast<std::size_t>(sum)]; }

TraceSum sum_of(TraceKind kind) { return kKinds[static_cast<std::size_t>(kind)].sum; }

bool holds_others(TraceKind kind) {
  return kind == TraceKind::micro_batch || kind == TraceKind::head;
}

std::string_view to_string(TraceCargo cargo) { return kCargos[static_cast<std::size_t>(cargo)]; }

std::optional<TraceCargo> parse_trace_cargo(std::string_view word) {
  const auto found = std::ranges::find(kCargos, word);
  if (found == kCargos.end()) return std::nullopt;
  return static_cast<TraceCargo>(found - kCargos.begin());
}

std::vector<std::filesystem::path> trace_files(const std::filesystem::path& run_dir) {
  std::map<int, std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(run_dir, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto rank = rank_of(entry->path())) files[*rank] = entry->path();
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error("cannot list " + run_dir.string() + ": " + error.message());
  }
  std::vector<std::filesystem::path> paths;
  for (auto& [rank, path] : files) paths.push_back(std::move(path));
  return paths;
}

Trace read_trace(const std::filesystem::path& path) {
  return read_named(path, [&] {
    std::error_code error;
    if (const auto bytes = std::filesystem::file_size(path, error);
        !error && bytes > kTraceBytesMax) {
      throw Error("longer than any trace can be");
    }
    return parse_trace(read_file(path));
  });
}

TraceHead read_trace_head(const std::filesystem::path& path) {
  return read_named(path, [&] {
    io::LineReader reader(path, kTraceLineBytesMax);
    const auto line = reader.next();
    if (!line || !line->terminated) throw Error("the trace is empty or cut short");
    return parse_trace_head(line->text);
  });
}

std::vector<TraceFlow> trace_flows(std::span<const Trace> traces) {
  using Message = std::tuple<int, int, TraceCargo, std::int64_t>;  // from, to, what, of which
  std::map<Message, TraceFlow::End> sent;
  const auto each = [&](bool want_sent, auto&& take) {
    for (std::size_t t = 0; t < traces.size(); ++t) {
      const int rank = traces[t].head.rank;
      for (std::size_t m = 0; m < traces[t].messages.size(); ++m) {
        const TraceMessage& message = traces[t].messages[m];
        if (message.sent != want_sent) continue;
        const int from = message.sent ? rank : message.peer;
        const int to = message.sent ? message.peer : rank;
        take(Message{from, to, message.cargo, message.micro_batch}, TraceFlow::End{t, m});
      }
    }
  };
  each(true, [&](const Message& message, TraceFlow::End end) { sent.emplace(message, end); });
  std::vector<TraceFlow> flows;
  each(false, [&](const Message& message, TraceFlow::End end) {
    const auto found = sent.find(message);
    if (found == sent.end()) return;
    flows.push_back({.sent = found->second, .received = end});
    sent.erase(found);
  });
  return flows;
}

}  // namespace sluice::jobs
