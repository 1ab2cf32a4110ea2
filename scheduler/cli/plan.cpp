#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>

#include "jobs/layout.h"
#include "scheduler/cli/commands.h"
#include "scheduler/cli/interrupt.h"
#include "scheduler/submission.h"

namespace sluice::scheduler::cli {
namespace {

namespace fs = std::filesystem;

struct PlanOptions {
  std::string input;
  std::vector<int> nodes;
  bool all = false;
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
                      number(layout->node_hours(), 3),
                      count(bytes),
                      word(suggested_time(*layout)),
                      word("", ""),
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

// What the figures say about replicas and stages, at the most nodes.
void say_findings(Session& session, const std::vector<const LayoutForecast*>& layouts,
                  const std::string& command) {
  const LayoutForecast& best = *layouts.front();
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
    return std::pair(!layout->problem.empty(), layout->node_hours());
  });
  session.say("fewest node-hours: " + plural((*cheapest)->shape.nodes, "node") + ", " +
              layout_text((*cheapest)->shape) + " (" + fixed((*cheapest)->node_hours(), 3) + ")");
  session.say(
      "fastest: " + command + " --nodes " + std::to_string(best.shape.nodes) +
      (best.shape.replicas > 1 ? " --replicas " + std::to_string(best.shape.replicas) : "") +
      " --time " + suggested_time(best));
  if (best.prediction.is_at_most) {
    session.say("answers are taken to be as long as they may be; they usually end before");
  }
}

std::vector<int> nodes_to_plan(const PlanOptions& options) {
  if (!options.nodes.empty()) return options.nodes;
  return {1, 2, 4, 8};
}

ExitStatus plan(Session& session, const PlanOptions& options) {
  watch_for_interrupt();
  session.flags.emplace_back("input", std::vector{options.input});
  const Staging staging(fs::temp_directory_path());
  CheckOptions checks;
  checks.output = jobs::Layout(staging.dir()).prompts();
  checks.interrupted = interrupted;
  const Submission submission = check_submission(session.settings(), checks);
  std::vector<jobs::Shape> shapes;
  for (const int nodes : nodes_to_plan(options)) {
    const int stages_max = std::max(1, submission.model.layers + 1);
    for (const auto& shape : layouts_of(nodes, submission.spec.shape.ranks_per_node, stages_max)) {
      shapes.push_back(shape);
    }
  }
  db::Store* store = session.has_database() ? &session.store() : nullptr;
  const bool tells = terminal_of(STDERR_FILENO).is_terminal && !session.quiet;
  if (tells)
    std::cerr << "measuring and simulating " << shapes.size() << " layouts ..." << std::flush;
  const Forecast found = forecast(slurm::run_command, store, submission, staging.dir(), shapes);
  if (tells) std::cerr << "\r\x1b[K" << std::flush;
  const auto layouts = ordered(found);
  const auto single = std::ranges::find_if(found.layouts, [](const LayoutForecast& layout) {
    return layout.shape.ranks() == 1 && layout.problem.empty();
  });
  const LayoutForecast* base = single == found.layouts.end() ? nullptr : &*single;
  auto shown = layouts;
  if (session.for_people() && !options.all) shown.resize(std::min(shown.size(), kShown));
  session.say(
      fs::path(submission.spec.input).filename().string() + ": " +
      plural(submission.spec.prompt_count, "prompt") + ", " +
      with_commas(found.layouts.front().prompt_tokens) + " prompt tokens, " +
      with_commas(static_cast<std::int64_t>(found.layouts.front().prediction.output_tokens)) +
      " to generate; batch size " + std::to_string(submission.spec.batch_size) + ", " +
      submission.spec.precision + "; measured on " + found.cost_scales.cpu + "\n");
  session.print(table_of(shown, base));
  if (const auto hidden = std::ssize(layouts) - std::ssize(shown); hidden > 0) {
    session.say(" ... and " + plural(hidden, "more layout") + ": --all");
  }
  session.say("");
  if (layouts.front()->problem.empty()) {
    say_findings(session, layouts,
                 "sluice submit " + options.input + " --model " + submission.spec.model);
  }
  return ExitStatus::ok;
}

}  // namespace

std::optional<LayoutForecast> predict(Session& session, Submission& submission,
                                      const fs::path& folder) {
  jobs::JobSpec& spec = submission.spec;
  const bool chooses = session.settings().text("layout") == "auto";
  const int stages_max = std::max(1, submission.model.layers + 1);
  const std::vector<jobs::Shape> shapes =
      chooses ? layouts_of(spec.shape.nodes, spec.shape.ranks_per_node, stages_max)
              : std::vector{spec.shape};
  try {
    db::Store* store =
        session.makes_database || session.has_database() ? &session.store() : nullptr;
    const Forecast found = forecast(slurm::run_command, store, submission, folder, shapes);
    const LayoutForecast* best = fastest(found);
    if (best == nullptr) throw Error(ExitStatus::usage, found.layouts.at(0).problem);
    spec.cost_scales = found.cost_scales;
    spec.shape = best->shape;
    return *best;
  } catch (const std::exception& error) {
    if (chooses) throw;
    session.warn(std::string("no prediction of what the job will take: ") + error.what());
    return std::nullopt;
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
           "Simulates the schedule with the prompts' own lengths and a short measurement of this\n"
           "machine, which is kept; finished jobs of the same model correct it.\n"
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
  app->add_flag("--all", options->all, "every layout, not only the best");
}

}  // namespace sluice::scheduler::cli
