#include "scheduler/cli/export_trace.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "jobs/error.h"
#include "jobs/layout.h"
#include "jobs/trace.h"
#include "scheduler/error.h"

namespace sluice::scheduler::cli {
namespace {

using Json = nlohmann::ordered_json;

struct RankFile {
  std::filesystem::path path;
  jobs::TraceHead head;
};
using Replicas = std::map<int, std::vector<RankFile>>;

std::string name_of(const db::Job& job, jobs::RunId run) {
  return "run " + to_string(run) + " of job " + std::to_string(job.id);
}

std::vector<std::filesystem::path> files_of(const db::Job& job, jobs::RunId run) {
  return jobs::trace_files(jobs::Layout(job.directory).run_dir(run));
}

const db::Run& chosen(const std::vector<db::Run>& runs, const db::Job& job,
                      std::optional<jobs::RunId> wanted) {
  if (runs.empty()) {
    throw Error(ExitStatus::not_found,
                "job " + std::to_string(job.id) +
                    " has not run yet; a timeline is written when a run ends");
  }
  if (!wanted) return *std::ranges::max_element(runs, {}, &db::Run::run);
  const auto found = std::ranges::find(runs, *wanted, &db::Run::run);
  if (found != runs.end()) return *found;
  std::string list;
  for (const db::Run& run : runs) list += (list.empty() ? "" : ", ") + to_string(run.run);
  throw Error(ExitStatus::not_found, "job " + std::to_string(job.id) + " has no run " +
                                         to_string(*wanted) + "; it has " + list);
}

// Why there is none, and which run has one.
Error no_timeline(const std::vector<db::Run>& runs, const db::Job& job, const db::Run& run) {
  std::string why = name_of(job, run.run);
  if (!std::filesystem::exists(job.directory)) {
    return {ExitStatus::not_found, why + " has no timeline any more: the job's folder is gone, " +
                                       job.directory};
  }
  if (run.outcome.empty() && !jobs::is_final(job.state)) {
    why += " has no timeline yet: each rank writes its own when the run ends";
  } else if (run.outcome.empty()) {
    why += " left no timeline: it was killed before its end";
  } else if (run.outcome == "failed") {
    why += " left no timeline: it failed before its ranks could write theirs";
  } else {
    why += " left no timeline: its ranks could not write theirs (sluice logs " +
           std::to_string(job.id) + " says why), or an older Sluice ran it";
  }
  for (auto other = runs.rbegin(); other != runs.rend(); ++other) {
    if (other->run == run.run || files_of(job, other->run).empty()) continue;
    return {ExitStatus::not_found, why + "; there is one of --run " + to_string(other->run)};
  }
  return {ExitStatus::not_found, why};
}

Replicas by_replica(Session& session, const db::Job& job, jobs::RunId run,
                    const std::vector<std::filesystem::path>& paths) {
  Replicas replicas;
  std::vector<bool> is_there;
  for (const auto& path : paths) {
    RankFile file{.path = path, .head = jobs::read_trace_head(path)};
    is_there.resize(std::max(is_there.size(), static_cast<std::size_t>(file.head.ranks)));
    const auto rank = static_cast<std::size_t>(file.head.rank);
    if (file.head.run != run || is_there[rank]) {
      throw jobs::Error(path.string() + " says that it is of rank " +
                        std::to_string(file.head.rank) + " of run " + to_string(file.head.run));
    }
    is_there[rank] = true;
    replicas[file.head.replica].push_back(std::move(file));
  }
  for (std::size_t rank = 0; rank < is_there.size(); ++rank) {
    if (is_there[rank]) continue;
    session.warn("rank " + std::to_string(rank) + " of " + name_of(job, run) + " left no timeline");
  }
  return replicas;
}

// Events, one a line, with a comma between.
class EventList {
 public:
  explicit EventList(std::ostream& out) : out_(out) {}
  void add(const Json& event) {
    out_ << (first_ ? "\n" : ",\n") << event.dump();
    first_ = false;
  }

 private:
  std::ostream& out_;
  bool first_ = true;
};

// Viewers take rank 0's process for the idle one where it is number 0, drop what is before time 0,
// and know threads by number alone.
class Writer {
 public:
  Writer(std::ostream& out, std::int64_t origin_ns) : events_(out), origin_ns_(origin_ns) {}

  void name(const jobs::TraceHead& head) {
    const auto metadata = [&](const char* name, Json args) {
      events_.add({{"ph", "M"},
                   {"name", name},
                   {"pid", head.rank + 1},
                   {"tid", head.rank + 1},
                   {"args", std::move(args)}});
    };
    const std::string layers = head.layers.empty() ? "" : ", layers " + head.layers;
    metadata("process_name",
             {{"name", "rank " + std::to_string(head.rank) + ": replica " +
                           std::to_string(head.replica) + ", stage " + std::to_string(head.stage) +
                           layers + ", " + head.host}});
    metadata("process_sort_index", {{"sort_index", head.rank}});
    metadata("process_labels", {{"labels", labels_of(head)}});
    metadata("thread_name", {{"name", "stage"}});
  }

  void add(const jobs::TraceHead& head, const jobs::TraceSpan& span) {
    Json args = Json::object();
    if (span.micro_batch >= 0) args["micro_batch"] = span.micro_batch;
    if (span.kind == jobs::TraceKind::micro_batch) {
      args["prefill_tokens"] = span.prefill_tokens;
      args["decode_tokens"] = span.decode_tokens;
    }
    if (span.communication_ns > 0) args["communication_us"] = us(span.communication_ns);
    const jobs::TraceSum sum = sum_of(span.kind);
    const char* const outside = holds_others(span.kind) ? "work" : "phase";
    events_.add({{"ph", "X"},
                 {"name", to_string(span.kind)},
                 {"cat", sum == jobs::TraceSum::none ? outside : to_string(sum)},
                 {"pid", head.rank + 1},
                 {"tid", head.rank + 1},
                 {"ts", us(span.begin_ns - origin_ns_)},
                 {"dur", us(span.end_ns - span.begin_ns)},
                 {"args", std::move(args)}});
  }

  // From the send to the receive.
  void add(const jobs::Trace& from, const jobs::TraceMessage& sent, const jobs::Trace& to,
           const jobs::TraceMessage& received) {
    ++flows_;
    const auto end = [&](const char* phase, const jobs::Trace& trace,
                         const jobs::TraceMessage& message) {
      Json event{{"ph", phase},
                 {"name", to_string(message.cargo)},
                 {"cat", "message"},
                 {"id", flows_},
                 {"pid", trace.head.rank + 1},
                 {"tid", trace.head.rank + 1},
                 {"ts", us(message.at_ns - origin_ns_)},
                 {"args", {{"micro_batch", message.micro_batch}, {"bytes", sent.bytes}}}};
      if (&message == &received) event["bp"] = "e";  // to the span around it, not the next one
      return event;
    };
    events_.add(end("s", from, sent));
    events_.add(end("f", to, received));
  }

 private:
  static double us(std::int64_t ns) { return static_cast<double>(ns) / 1000; }

  static std::string labels_of(const jobs::TraceHead& head) {
    std::string labels =
        "clock error " + std::to_string(std::llround(head.clock_error_s * 1e6)) + " us";
    if (head.overwritten > 0) {
      labels += ", " + std::to_string(head.overwritten) + " older events not kept";
    }
    return labels;
  }

  EventList events_;
  std::int64_t origin_ns_, flows_ = 0;
};

// What the file says of itself. Other keys than the format's own are for whoever asks.
Json about(const db::Job& job, jobs::RunId run, const Replicas& replicas, std::int64_t origin_ns) {
  Json ranks = Json::array();
  double window_us = 0;
  for (const auto& [replica, files] : replicas) {
    for (const auto& [path, head] : files) {
      window_us = static_cast<double>(head.window_ns) / 1000;
      ranks.push_back({{"rank", head.rank},
                       {"pid", head.rank + 1},
                       {"replica", head.replica},
                       {"stage", head.stage},
                       {"host", head.host},
                       {"layers", head.layers},
                       {"clock_error_s", head.clock_error_s},
                       {"overwritten", head.overwritten}});
    }
  }
  return {{"job", job.id},          {"name", job.name},
          {"run", to_string(run)},  {"window_opens_us", static_cast<double>(-origin_ns) / 1000},
          {"window_us", window_us}, {"ranks", std::move(ranks)}};
}

}  // namespace

void write_trace(Session& session, const db::Job& job, std::optional<jobs::RunId> wanted,
                 std::ostream& out) {
  const std::vector<db::Run> runs = session.store().runs(job.id);
  const db::Run& run = chosen(runs, job, wanted);
  const auto paths = files_of(job, run.run);
  if (paths.empty()) throw no_timeline(runs, job, run);
  const Replicas replicas = by_replica(session, job, run.run, paths);
  std::int64_t origin_ns = 0;
  for (const auto& [replica, files] : replicas) {
    for (const RankFile& file : files) origin_ns = std::min(origin_ns, file.head.began_ns);
  }
  out << "{\"displayTimeUnit\":\"ms\",\"otherData\":"
      << about(job, run.run, replicas, origin_ns).dump() << ",\"traceEvents\":[";
  Writer writer(out, origin_ns);
  for (const auto& [replica, files] : replicas) {
    std::vector<jobs::Trace> traces;
    for (const RankFile& file : files) {
      const jobs::Trace& trace = traces.emplace_back(jobs::read_trace(file.path));
      writer.name(trace.head);
      for (const jobs::TraceSpan& span : trace.spans) writer.add(trace.head, span);
    }
    for (const jobs::TraceFlow& flow : trace_flows(traces)) {
      const jobs::Trace& from = traces[flow.sent.trace];
      const jobs::Trace& to = traces[flow.received.trace];
      writer.add(from, from.messages[flow.sent.message], to, to.messages[flow.received.message]);
    }
  }
  out << "\n]}\n";
}

}  // namespace sluice::scheduler::cli
