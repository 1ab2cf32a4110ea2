#include "worker/score.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "kernels/cpu.h"
#include "worker/error.h"
#include "worker/model/forward.h"
#include "worker/model/model.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

struct Item {
  ordered_json id;
  std::vector<std::int32_t> tokens;
  int context_tokens = 1;
};

class LineReader {
 public:
  LineReader(const model::Model& model) : model_(model) {}

  // Throws worker::Error with the reason.
  Item read(std::int64_t number, const std::string& line) const {
    const auto json = ordered_json::parse(line, nullptr, false);
    if (!json.is_object()) throw Error("is not a JSON object");
    Item item{.id = json.value("id", ordered_json(std::to_string(number))),
              .tokens = tokens_of(json)};
    const int tokens = static_cast<int>(item.tokens.size());
    if (tokens == 0) throw Error("has no token");
    if (tokens > model_.config().context) {
      throw Error("has " + std::to_string(tokens) + " tokens, more than the model's context of " +
                  std::to_string(model_.config().context) + "; cut it into windows");
    }
    if (const auto context = json.find("context_tokens"); context != json.end()) {
      if (!context->is_number_unsigned() || context->get<std::uint64_t>() > item.tokens.size()) {
        throw Error("\"context_tokens\" is not from 0 to its " + std::to_string(tokens) +
                    " tokens");
      }
      item.context_tokens = std::max(context->get<int>(), 1);
    }
    return item;
  }

 private:
  std::vector<std::int32_t> tokens_of(const ordered_json& json) const {
    const auto text = json.find("text"), ids = json.find("token_ids");
    if ((text == json.end()) == (ids == json.end())) {
      throw Error("has to have either \"text\" or \"token_ids\"");
    }
    if (text != json.end()) {
      if (!text->is_string()) throw Error("\"text\" is no string");
      return model_.tokenizer().encode(text->get_ref<const std::string&>(), {.add_bos = true});
    }
    if (!ids->is_array()) throw Error("\"token_ids\" is no array");
    std::vector<std::int32_t> tokens;
    for (const auto& id : *ids) {
      const auto vocab = static_cast<std::uint64_t>(model_.config().vocab);
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= vocab) {
        throw Error("\"token_ids\" holds " + id.dump() + ", which is not from 0 to " +
                    std::to_string(vocab - 1));
      }
      tokens.push_back(id.get<std::int32_t>());
    }
    return tokens;
  }

  const model::Model& model_;
};

// Calls `use` with each line's item; errors get the file's name and the line's number.
void for_each_item(const std::filesystem::path& path, const LineReader& reader,
                   const std::function<void(const Item&)>& use) {
  std::ifstream file(path);
  if (!file) throw Error(path.string() + ": cannot be opened: " + std::strerror(errno));
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      use(reader.read(number, line));
    } catch (const Error& error) {
      throw Error(path.string() + ":" + std::to_string(number) + ": " + error.what());
    }
  }
}

// A model on one device, for one sequence at a time.
class Scorer {
 public:
  Scorer(const model::Model& model, const ScoreOptions& options, int positions_max)
      : config_(model.config()),
        top_(options.top_logprobs),
        rows_max_(options.token_budget),
        backend_(kernels::make_cpu_backend(*kernels::precision_named(options.precision))),
        pages_(make_pages(positions_max)),
        forward_(
            *backend_, config_,
            load_stage(model,
                       {.first = 0, .end = config_.layers, .has_embedding = true, .has_head = true},
                       *backend_),
            {.rows_max = rows_max_,
             .kv_room = {.full = static_cast<int>(pages_.full.size()),
                         .ring = static_cast<int>(pages_.ring.size())}}) {}

  ordered_json score(const Item& item) {
    const int tokens = static_cast<int>(item.tokens.size());
    ordered_json logprobs = ordered_json::array(), top = ordered_json::array();
    double sum = 0;
    // The last token is only a target.
    for (int first = 0, end; first < tokens - 1; first = end) {
      end = std::min(tokens - 1, first + rows_max_);
      compute(item, first, end);
      for (std::size_t i = 0; i < scores_.size(); ++i) {
        const auto& [logit, log_sum_exp] = scores_[i];
        logprobs.push_back(logit - log_sum_exp);
        sum += logit - log_sum_exp;
        if (top_ > 0) top.push_back(ranked(i, log_sum_exp));
      }
    }
    const std::size_t scored = logprobs.size();
    ordered_json line = {{"id", item.id},
                         {"logprobs", std::move(logprobs)},
                         {"logprob_sum", sum},
                         {"tokens_scored", scored}};
    if (top_ > 0) line["top_logprobs"] = std::move(top);
    return line;
  }

 private:
  model::SequencePages make_pages(int positions_max) const {
    const auto layout = kv_layout(config_, rows_max_);
    return model::PagePool(pages_of_sequence(layout, positions_max), layout).reserve(positions_max);
  }

  // Positions [first, end), and the scores of those whose successor is to be scored.
  void compute(const Item& item, int first, int end) {
    std::vector<kernels::Row> rows;
    std::vector<int> scored_rows;
    std::vector<std::int32_t> targets;
    for (int position = first; position < end; ++position) {
      if (position + 1 >= item.context_tokens) {
        scored_rows.push_back(static_cast<int>(rows.size()));
        targets.push_back(item.tokens[static_cast<std::size_t>(position) + 1]);
      }
      rows.push_back({.sequence = 0, .position = position});
    }
    const std::span<const std::int32_t> full(pages_.full), ring(pages_.ring);
    forward_.begin(rows, {&full, 1}, {&ring, 1});
    forward_.embed(std::span(item.tokens).subspan(static_cast<std::size_t>(first), rows.size()));
    forward_.layers([] {});
    scores_.resize(targets.size());
    ranked_.resize(targets.size() * static_cast<std::size_t>(top_));
    forward_.present(scored_rows);
    forward_.log_probs(targets, scores_);
    if (top_ > 0) forward_.select(top_, ranked_);
    forward_.finish([] {});
  }

  ordered_json ranked(std::size_t row, double log_sum_exp) const {
    ordered_json tokens = ordered_json::array();
    const auto n = static_cast<std::size_t>(top_);
    for (const auto& candidate : std::span(ranked_).subspan(row * n, n)) {
      tokens.push_back({{"id", candidate.id}, {"logprob", candidate.logit - log_sum_exp}});
    }
    return tokens;
  }

  const model::ModelConfig& config_;
  const int top_, rows_max_;
  std::unique_ptr<kernels::Backend> backend_;
  model::SequencePages pages_;
  model::Forward forward_;
  // Of the rows at work.
  std::vector<kernels::LogProb> scores_;
  std::vector<kernels::Candidate> ranked_;
};

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
  const LineReader reader(model);
  std::size_t longest = 0;
  for_each_item(options.file, reader,
                [&](const Item& item) { longest = std::max(longest, item.tokens.size()); });
  if (longest == 0) throw Error(options.file.string() + ": holds no line");

  Scorer scorer(model, options, static_cast<int>(longest));
  for_each_item(options.file, reader,
                [&](const Item& item) { out << scorer.score(item).dump() << '\n'; });
  out.flush();
  if (!out) throw Error("writing the scores failed: is the disk full?");
  return 0;
}

}  // namespace sluice::worker
