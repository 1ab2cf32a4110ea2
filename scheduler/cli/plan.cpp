#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "db/error.h"
#include "jobs/layout.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/cli/passing_line.h"
#include "scheduler/submission.h"
#include "slurm/launch.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct PlanOptions {
  std::string input;
  std::vector<int> nodes;
  bool all = false, on_node = false;
};

constexpr std::size_t kShown = 12;  // layouts, of people's table

std::string layout_text(const jobs::Shape& shape) {
  return std::to_string(shape.replicas) + " x " + std::to_string(shape.stages);
}

std::string busy_text(const std::vector<double>& shares) {
  if (shares.empty()) return "-";
  const auto [least, most] = std::ranges::minmax(shares);
  const std::string low = fixed(least * 100, 0), high = fixed(most * 100, 0);
  return low == high ? high + " %" : low + "-" + high + " %";
}

// The fastest first.
std::vector<const LayoutForecast*> ordered(const Forecast& forecast) {
  std::vector<const LayoutForecast*> layouts;
  for (const LayoutForecast& layout : forecast.layouts) layouts.push_back(&layout);
  std::ranges::stable_sort(layouts, {}, [](const LayoutForecast* layout) {
    return std::pair(!layout->problem.empty(), layout->prediction.wall_clock_s);
  });
  return layouts;
}

// Of one rank's throughput for each rank; nothing: one rank was not planned.
std::optional<double> efficiency(const LayoutForecast& layout, const LayoutForecast* single) {
  if (single == nullptr || layout.prediction.wall_clock_s <= 0) return std::nullopt;
  return single->prediction.wall_clock_s /
         (layout.prediction.wall_clock_s * static_cast<double>(layout.shape.ranks()));
}

Table table_of(const std::vector<const LayoutForecast*>& layouts, const LayoutForecast* single) {
  Table table;
  table.columns = {{"nodes", "nodes", true},
                   {"layout", "replicas x stages"},
                   {"wall_clock_s", "wall (s)", true},
                   {"output_tokens_per_s", "tok/s", true},
                   {"parallel_efficiency", "efficiency", true},
                   {"busy", "busy", true},
                   {"node_hours", "node-hours", true},
                   {"rank_bytes", "a rank", true},
                   {"time", "--time", true},
                   {"problem", "note"},
                   {"ranks", ""},
                   {"replicas", ""},
                   {"stages", ""},
                   {"partition", ""},
                   {"elapsed_s", ""},
                   {"simulated_s", ""},
                   {"correction", ""},
                   {"weight_bytes", ""},
                   {"kv_bytes", ""}};
  for (const LayoutForecast* layout : layouts) {
    const db::JobPrediction& prediction = layout->prediction;
    Row row = {count(layout->shape.nodes), word(layout_text(layout->shape))};
    if (!layout->problem.empty()) {
      row.resize(table.columns.size(), nothing());
      row[9] = word(layout->problem);
      table.rows.push_back(std::move(row));
      continue;
    }
    const auto share = efficiency(*layout, single);
    const std::int64_t bytes = layout->weight_bytes + layout->kv_bytes;
    const Row rest = {number(prediction.wall_clock_s, prediction.wall_clock_s < 10 ? 2 : 0),
                      number(layout->output_tokens_per_s(), 0),
                      share ? number(*share, 2) : nothing(),
                      word(busy_text(layout->busy_shares)),
                      number(layout->node_hours(), hours_text(layout->node_hours())),
                      count(bytes),
                      word(suggested_time(*layout)),
                      word(layout->note),
                      count(layout->shape.ranks()),
                      count(layout->shape.replicas),
                      count(layout->shape.stages),
                      word(layout->partition),
                      number(prediction.elapsed_s, 3),
                      number(prediction.simulated_s, 3),
                      number(prediction.correction, 3),
                      count(layout->weight_bytes),
                      count(layout->kv_bytes)};
    row.insert(row.end(), rest.begin(), rest.end());
    row[7].text = bytes_size(bytes);
    table.rows.push_back(std::move(row));
  }
  return table;
}

// As slurm::run_command, but that an interrupt ends it.
slurm::CommandResult run(const std::vector<std::string>& argv,
                         const slurm::CommandOptions& options) {
  auto stoppable = options;
  stoppable.should_stop = interrupted;
  return slurm::run_command(argv, stoppable);
}

// `sluice submit` with what this call was given.
std::string submit_command(const Session& session, const std::string& input) {
  std::vector<std::string> words = {"sluice", "submit", input};
  for (const auto& [key, values] : session.flags) {
    if (key == "input") continue;
    const bool is_flag = find_key(key)->kind == Kind::boolean;
    for (const auto& value : values) {
      words.push_back((is_flag && value == "false" ? "--no-" : "--") + key);
      if (!is_flag) words.push_back(value);
    }
  }
  return slurm::quote(words);
}

// What stands in the way of this layout here and now; on paper it is possible.
std::string note_on(Session& session, const Submission& submission, const jobs::Shape& shape) {
  jobs::JobSpec spec = submission.spec;
  spec.shape = shape;
  Executor& executor = session.executor(spec.executor);
  if (const auto why = executor.objection(spec)) return *why;
  return executor.shortage(spec).value_or("");
}

// What the figures say about replicas and stages, at the nodes of the best that can be had here.
void say_findings(Session& session, const std::vector<const LayoutForecast*>& layouts,
                  const std::string& command) {
  const auto to_be_had = std::ranges::find_if(layouts, [](const LayoutForecast* layout) {
    return layout->problem.empty() && layout->note.empty();
  });
  const LayoutForecast& best = to_be_had == layouts.end() ? *layouts.front() : **to_be_had;
  const LayoutForecast* stages = nullptr;
  const LayoutForecast* replicas = nullptr;
  for (const LayoutForecast* layout : layouts) {
    if (!layout->problem.empty() || layout->shape.nodes != best.shape.nodes) continue;
    if (stages == nullptr && layout->shape.replicas == 1) stages = layout;
    if (replicas == nullptr && layout->shape.stages == 1) replicas = layout;
  }
  if (stages != nullptr && replicas != nullptr && stages != replicas) {
    const double times = stages->prediction.wall_clock_s / replicas->prediction.wall_clock_s;
    session.say(times > 1
                    ? "replicas beat stages here: " + fixed(times, 2) + " times as fast on " +
                          plural(best.shape.nodes, "node") + ", as a rank holds the whole model"
                    : "stages beat replicas here: " + fixed(1 / times, 2) + " times as fast on " +
                          plural(best.shape.nodes, "node"));
  }
  const auto cheapest = std::ranges::min_element(layouts, {}, [](const LayoutForecast* layout) {
    return std::tuple(!layout->problem.empty(), !layout->note.empty(), layout->node_hours());
  });
  session.say("fewest node-hours: " + plural((*cheapest)->shape.nodes, "node") + ", " +
              layout_text((*cheapest)->shape) + " (" + hours_text((*cheapest)->node_hours()) + ")");
  session.say(
      "fastest: " + command + " --nodes " + std::to_string(best.shape.nodes) +
      (best.shape.replicas > 1 ? " --replicas " + std::to_string(best.shape.replicas) : "") +
      " --time " + suggested_time(best));
  if (best.prediction.is_at_most) {
    session.say("answers are taken to be as long as they may be; they usually end before");
  }
}

std::vector<int> nodes_to_plan(const PlanOptions& options) {
  if (options.nodes.empty()) return {1, 2, 4, 8};
  const std::set<int> each(options.nodes.begin(), options.nodes.end());
  return {each.begin(), each.end()};
}

ExitStatus plan(Session& session, const PlanOptions& options) {
  watch_for_interrupt();
  session.flags.emplace_back("input", std::vector{options.input});
  const fs::path job_root = session.settings().text("job-root");
  const Staging staging(options.on_node ? job_root : fs::temp_directory_path());
  CheckOptions checks;
  checks.output = jobs::Layout(staging.dir()).prompts();
  checks.interrupted = interrupted;
  checks.any_layout = true;
  const Submission submission = check_submission(session.settings(), checks);
  if (options.on_node && !slurm::on_slurm(submission.spec)) {
    throw Error(ExitStatus::usage, "--on-node: jobs run on this machine; leave it out");
  }
  std::vector<jobs::Shape> shapes;
  const std::vector<int> wanted = nodes_to_plan(options);
  // One rank is what efficiency is over, shown or not.
  const bool adds_one = std::ranges::find(wanted, 1) == wanted.end();
  if (adds_one) shapes.push_back({.nodes = 1, .ranks_per_node = 1, .replicas = 1, .stages = 1});
  for (const int nodes : wanted) {
    const int stages_max = std::max(1, submission.model.layers + 1);
    for (const auto& shape : layouts_of(nodes, submission.spec.shape.ranks_per_node, stages_max)) {
      shapes.push_back(shape);
    }
  }
  session.makes_database = true;  // for what is measured
  db::Store* store = &session.store();
  PassingLine line(session.quiet);
  if (options.on_node) {
    line.show("measuring on a node, for which there may be a wait of a minute ...");
    measure_on_node(run, *store, submission, staging.dir(), shapes);
  }
  line.show("measuring and simulating " + std::to_string(shapes.size()) + " layouts ...");
  Forecast found = forecast(run, store, submission, staging.dir(), shapes);
  line.clear();
  std::map<int, std::string> notes;  // by nodes
  for (LayoutForecast& layout : found.layouts) {
    const auto [note, is_new] = notes.try_emplace(layout.shape.nodes);
    if (is_new) note->second = note_on(session, submission, layout.shape);
    layout.note = note->second;
  }
  auto layouts = ordered(found);
  if (adds_one) {
    std::erase_if(layouts, [](const LayoutForecast* layout) { return layout->shape.nodes == 1; });
  }
  const auto single = std::ranges::find_if(found.layouts, [](const LayoutForecast& layout) {
    return layout.shape.ranks() == 1 && layout.problem.empty();
  });
  const LayoutForecast* base = single == found.layouts.end() ? nullptr : &*single;
  auto shown = layouts;
  if (session.for_people() && !options.all) shown.resize(std::min(shown.size(), kShown));
  const auto possible = std::ranges::find_if(
      found.layouts, [](const LayoutForecast& layout) { return layout.problem.empty(); });
  const LayoutForecast& any =
      possible == found.layouts.end() ? found.layouts.front() : *possible;  // they agree
  session.say(fs::path(submission.spec.input).filename().string() + ": " +
              plural(submission.spec.prompt_count, "prompt") + ", " +
              (possible == found.layouts.end()
                   ? "which fit no layout"
                   : with_commas(any.prompt_tokens) + " prompt tokens, " +
                         with_commas(static_cast<std::int64_t>(any.prediction.output_tokens)) +
                         " to generate") +
              "; batch size " + std::to_string(submission.spec.batch_size) + ", " +
              submission.spec.precision + "; measured on " + found.cost_scales.cpu + "\n");
  if (!found.nodes_cpu.empty() && found.nodes_cpu != found.cost_scales.cpu) {
    session.warn("the nodes have " + found.nodes_cpu +
                 ", on which this model was not measured: --on-node");
  }
  session.print(table_of(shown, base));
  if (const auto hidden = std::ssize(layouts) - std::ssize(shown); hidden > 0) {
    session.say(" ... and " + plural(hidden, "more layout") + ": --all");
  }
  session.say("");
  if (layouts.front()->problem.empty()) {
    say_findings(session, layouts, submit_command(session, options.input));
  }
  return possible == found.layouts.end() ? ExitStatus::failure : ExitStatus::ok;
}

}  // namespace

std::optional<LayoutForecast> predict(Session& session, Submission& submission,
                                      const fs::path& folder) {
  jobs::JobSpec& spec = submission.spec;
  const bool chooses = session.settings().text("layout") == "auto";
  if (spec.wants_gpus() && !chooses) return std::nullopt;
  const int stages_max = std::max(1, submission.model.layers + 1);
  const std::vector<jobs::Shape> shapes =
      chooses ? layouts_of(spec.shape.nodes, spec.shape.ranks_per_node, stages_max)
              : std::vector{spec.shape};
  try {
    db::Store* store =
        session.makes_database || session.has_database() ? &session.store() : nullptr;
    const Forecast found = forecast(run, store, submission, folder, shapes);
    const LayoutForecast* best = fastest(found);
    if (best == nullptr) throw Error(ExitStatus::usage, found.layouts.at(0).problem);
    spec.cost_scales = found.cost_scales;
    spec.shape = best->shape;
    return *best;
  } catch (const std::exception& error) {
    if (chooses || interrupted()) throw;
    session.warn(std::string("no prediction of what the job will take: ") + error.what());
    return std::nullopt;
  }
}

void keep_prediction(Session& session, jobs::JobId job, const LayoutForecast& forecast) {
  try {
    session.store().put_prediction(job, forecast.prediction);
  } catch (const db::Error& error) {
    session.warn("job " + std::to_string(job) + " goes on without its prediction: " + error.what());
  }
}

void add_plan(CommandLine& line) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* app = add_command(
      line,
      {.name = "plan",
       .does = "what a job would take in each layout, before it is submitted; best first",
       .examples =
           "  sluice plan prompts.jsonl --model m.gguf --nodes 1,2,4,8\n"
           "  sluice plan prompts.jsonl --model m.gguf --nodes 64 --mem 8G --format json\n"
           "  sluice plan prompts.jsonl --model m.gguf -p gpu --on-node   (measures a node first)\n"
           "Simulates the schedule with the prompts' own lengths and a short measurement of this\n"
           "machine or of a node, which is kept; finished jobs of the same model correct it.\n"
           "`sluice submit --layout auto` takes the best layout of its nodes.",
       .formats = {"table", "json", "csv", "md"},
       .groups = {Group::job, Group::sampling, Group::spread, Group::cluster, Group::site},
       .own = {"nodes", "stages", "replicas", "layout"}},
      [&session = line.session, options] { return plan(session, *options); });
  app->add_option("INPUT", options->input, "prompts, as `sluice submit` takes them")->required();
  app->add_option("-N,--nodes", options->nodes, "how many (default: 1,2,4,8)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N,N,...");
  app->add_flag("--on-node", options->on_node,
                "measure a node that the job would get, not this machine (slurm)");
  app->add_flag("--all", options->all, "every layout, not only the best");
}

}  // namespace sluice::scheduler::cli
