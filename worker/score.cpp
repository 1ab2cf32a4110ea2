#include "worker/score.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "jobs/error.h"
#include "jobs/prompts.h"
#include "worker/error.h"
#include "worker/intake.h"
#include "worker/model/forward.h"
#include "worker/pipeline/own_head.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

// Calls `use` with each line's prompt; errors get the file's name and the line's number.
void for_each_line(const std::filesystem::path& path,
                   const std::function<void(const jobs::Prompt&)>& use) {
  std::ifstream file(path);
  if (!file) throw Error(path.string() + ": cannot be opened: " + std::strerror(errno));
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      jobs::Prompt prompt = jobs::parse_prompt(line);
      if (prompt.id.empty()) prompt.id = std::to_string(number);
      use(prompt);
    } catch (const std::exception& error) {
      throw Error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
}

// A model on one device, for one text at a time.
class Scorer {
 public:
  Scorer(const model::Model& model, const ScoreOptions& options, int positions_max)
      : model_(model),
        rows_max_(options.token_budget),
        backend_(device_for(options.device)
                     .make_backend(*kernels::precision_named(options.precision), 1)),
        pages_(make_pages(positions_max)),
        forward_(
            *backend_, model.config(),
            load_stage(
                model,
                {.first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true},
                *backend_),
            {.rows_max = rows_max_,
             .kv_room = {.full = static_cast<int>(pages_.full.size()),
                         .ring = static_cast<int>(pages_.ring.size())},
             .kv_type = kernels::kv_type_of(backend_->precision())}) {}

  void score(batch::ScoredText& text) {
    while (!text.ended()) {
      const std::vector<std::int32_t> inputs(text.inputs().begin(), text.inputs().end());
      const int count = static_cast<int>(inputs.size());
      std::vector<sampling::Drawn> drawn;
      for (int first = 0, end; first < count; first = end) {
        end = std::min(count, first + rows_max_);
        compute(text, inputs, first, end, drawn);
      }
      for (const sampling::Drawn& each : drawn) text.accept(each);
    }
  }

 private:
  model::SequencePages make_pages(int positions_max) const {
    const auto layout = kv_layout(model_.config(), rows_max_);
    return model::PagePool(pages_of_sequence(layout, positions_max), layout).reserve(positions_max);
  }

  // Positions [first, end) of the text's window.
  void compute(const batch::ScoredText& text, std::span<const std::int32_t> inputs, int first,
               int end, std::vector<sampling::Drawn>& drawn) {
    std::vector<kernels::Row> rows;
    std::vector<int> wanting;
    std::vector<sampling::Draw> draws;
    for (int position = first; position < end; ++position) {
      if (text.wants(position)) {
        wanting.push_back(static_cast<int>(rows.size()));
        draws.push_back(text.draw(position));
      }
      rows.push_back({.sequence = 0, .position = position});
    }
    const std::span<const std::int32_t> full(pages_.full), ring(pages_.ring);
    forward_.begin(rows, {&full, 1}, {&ring, 1});
    forward_.embed(inputs.subspan(static_cast<std::size_t>(first), rows.size()));
    forward_.layers([] {});
    forward_.present(wanting);
    pipeline::OwnHead head(forward_, [] {});
    const auto findings = find(head, draws);
    for (std::size_t i = 0; i < draws.size(); ++i) {
      drawn.push_back(choose(draws[i], std::span(findings).subspan(i, 1)));
    }
  }

  const model::Model& model_;
  const int rows_max_;
  std::unique_ptr<kernels::Backend> backend_;
  model::SequencePages pages_;
  model::Forward forward_;
};

ordered_json to_json(const std::string& id, const batch::ScoredText& text, bool with_top) {
  ordered_json line = {{"id", id},
                       {"logprobs", ordered_json::array()},
                       {"logprob_sum", text.score().logprob_sum},
                       {"tokens_scored", text.score().tokens},
                       {"is_greedy", text.score().is_greedy}};
  if (with_top) line["top_logprobs"] = ordered_json::array();
  for (const sampling::Drawn& drawn : text.drawn()) {
    line["logprobs"].push_back(*drawn.logprob);
    if (!with_top) continue;
    ordered_json& top = line["top_logprobs"].emplace_back(ordered_json::array());
    for (const auto& [token, logprob] : drawn.top) {
      top.push_back({{"id", token}, {"logprob", logprob}});
    }
  }
  return line;
}

}  // namespace

int score(const ScoreOptions& options, std::ostream& out) {
  if (!kernels::precision_named(options.precision)) {
    throw Error("--precision " + options.precision + ": use fast, high or exact");
  }
  const auto model = model::Model::open(options.model);
  if (options.top_logprobs > model.config().vocab) {
    throw Error("--top-logprobs is more than the vocabulary's " +
                std::to_string(model.config().vocab) + " tokens");
  }
  if (options.overlap < 1 || options.overlap >= model.config().context) {
    throw Error("--score-overlap " + std::to_string(options.overlap) +
                ": from 1 to less than the model's context of " +
                std::to_string(model.config().context));
  }
  const IntakeRules rules{.max_positions = model.config().context,
                          .sampling = {.logprobs = options.top_logprobs},
                          .score = true,
                          .score_overlap = options.overlap};
  // One of which nothing can be said has a line too.
  const auto text_of = [&](const jobs::Prompt& prompt) {
    auto taken = take_in(prompt, model, rules);
    if (auto* sequence = std::get_if<batch::Sequence>(&taken)) return *std::move(sequence->scored);
    const auto& error = std::get<jobs::ItemError>(taken);
    if (error.code != kNothingToScore) throw Error(error.message);
    return batch::ScoredText({}, 1, {.positions = 2}, 0);
  };
  std::size_t longest = 0;
  for_each_line(options.file, [&](const jobs::Prompt& prompt) {
    longest = std::max({longest, text_of(prompt).inputs().size(), std::size_t{1}});
  });
  if (longest == 0) throw Error(options.file.string() + ": holds no line");

  Scorer scorer(model, options, static_cast<int>(longest));
  for_each_line(options.file, [&](const jobs::Prompt& prompt) {
    batch::ScoredText text = text_of(prompt);
    scorer.score(text);
    out << to_json(prompt.id, text, options.top_logprobs > 0).dump() << '\n';
  });
  out.flush();
  if (!out) throw Error("writing the scores failed: is the disk full?");
  return 0;
}

}  // namespace sluice::worker
