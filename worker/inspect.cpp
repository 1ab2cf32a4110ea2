#include "worker/inspect.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <sstream>
#include <string_view>

#include "jobs/exit_status.h"
#include "jobs/spec.h"
#include "kernels/backend.h"
#include "kernels/quant.h"
#include "worker/error.h"
#include "worker/model/fingerprint.h"
#include "worker/model/forward.h"
#include "worker/model/model.h"
#include "worker/model/printable.h"
#include "worker/pipeline/partition.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

std::map<std::string_view, std::uint64_t> bytes_by_type(const model::WeightFiles& file) {
  std::map<std::string_view, std::uint64_t> bytes;
  for (const auto& tensor : file.tensors()) {
    bytes[kernels::block_format(tensor.type).name] += tensor.bytes;
  }
  return bytes;
}

std::uint64_t weight_bytes(const model::WeightFiles& file) {
  std::uint64_t total = 0;
  for (const auto& [type, bytes] : bytes_by_type(file)) total += bytes;
  return total;
}

// Of a token that every layer sees, in halves; layers with a window forget it again.
std::uint64_t kv_bytes_per_token(const model::ModelConfig& config) {
  const auto page = model::kv_page_bytes(config, {.first = 0, .end = config.layers},
                                         kernels::kv_type_of(kernels::Precision::fast));
  return (page.full + page.ring) / kernels::kKvPageTokens;
}

std::string rope_text(const model::RopeScheme& rope) {
  std::ostringstream text;
  text << "base " << rope.base;
  if (rope.linear_factor != 1) text << ", linear factor " << rope.linear_factor;
  if (!rope.freq_factors.empty()) text << ", with frequency factors";
  return text.str();
}

ordered_json rope_json(const model::RopeScheme& rope) {
  return {{"base", rope.base},
          {"linear_factor", rope.linear_factor},
          {"freq_factors", !rope.freq_factors.empty()}};
}

// What the family adds to Llama, for people; empty: nothing.
std::string extras(const model::ModelConfig& config) {
  std::string text;
  const auto add = [&](bool has, const std::string& what) {
    if (has) text += (text.empty() ? "" : ", ") + what;
  };
  const auto windowed = std::ranges::count(config.is_windowed, true);
  const auto number = [](float value) {
    std::ostringstream digits;
    digits << value;
    return digits.str();
  };
  add(windowed > 0, "windows of " + std::to_string(config.window) + " on " +
                        std::to_string(windowed) + " of " + std::to_string(config.layers) +
                        " layers");
  add(config.qkv_bias, "biases of q, k and v");
  add(config.qk_norm, "norms of q and k");
  add(config.post_norms, "norms after attention and ffn");
  add(config.attention_softcap > 0, "attention capped at " + number(config.attention_softcap));
  add(config.final_softcap > 0, "logits capped at " + number(config.final_softcap));
  return text;
}

std::string megabytes(std::uint64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << bytes / 1e6 << " MB";
  return text.str();
}

std::string millions(double count) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << count / 1e6 << " M";
  return text.str();
}

ordered_json facts(const model::Model& model) {
  const auto& config = model.config();
  ordered_json types = ordered_json::object();
  for (const auto& [type, bytes] : bytes_by_type(model.weights())) types[std::string(type)] = bytes;
  return {{"architecture", config.architecture},
          {"name", config.name},
          {"layers", config.layers},
          {"hidden", config.hidden},
          {"vocab", config.vocab},
          {"context", config.context},
          {"parameters", model.weights().parameters()},
          {"weight_bytes", weight_bytes(model.weights())},
          {"weight_types", types},
          {"file_bytes", model.weights().bytes()},
          {"fingerprint", model::fingerprint(model)}};
}

struct StageShare {
  model::StageRange range;
  double of_cost = 0;  // of all stages'
};

// As a job of answers only would be split, whose micro-batches have the usual size.
std::vector<StageShare> split(const model::Model& model, int stages) {
  const pipeline::TokenMix answers{.prompt_tokens = 0, .output_tokens = 1};
  const auto costs = costs_of(model, answers, jobs::JobSpec{}.batch_size, kernels::Precision::fast);
  const double whole = stage_cost(costs, {.end = model.config().layers, .has_head = true});
  std::vector<StageShare> shares;
  for (const auto& range : best_partition(costs, stages, pipeline::HeadSplit::when_it_pays)) {
    shares.push_back({.range = range, .of_cost = stage_cost(costs, range) / whole});
  }
  return shares;
}

ordered_json split_json(const model::Model& model, int stages) {
  ordered_json json = ordered_json::array();
  for (const auto& [range, of_cost] : split(model, stages)) {
    json.push_back({{"layers", to_string(range)},
                    {"cost_share", of_cost},
                    {"weight_bytes", model.weight_bytes(range)}});
  }
  return json;
}

ordered_json details(const model::Model& model) {
  const auto& config = model.config();
  const auto& tokenizer = model.tokenizer();
  ordered_json json = facts(model);
  json["heads"] = config.heads;
  json["kv_heads"] = config.kv_heads;
  json["head_dim"] = config.head_dim;
  json["ffn"] = config.ffn;
  json["tied_head"] = config.tied_head;
  json["rms_eps"] = config.rms_eps;
  json["rope"] = rope_json(config.rope);
  if (config.window_rope != config.rope) json["window_rope"] = rope_json(config.window_rope);
  json["window"] = config.window;
  json["windowed_layers"] = std::ranges::count(config.is_windowed, true);
  json["qkv_bias"] = config.qkv_bias;
  json["qk_norm"] = config.qk_norm;
  json["post_norms"] = config.post_norms;
  json["attention_softcap"] = config.attention_softcap;
  json["final_softcap"] = config.final_softcap;
  json["tokenizer"] = {{"kind", tokenizer.kind()},
                       {"pre_tokenizer", tokenizer.pre_tokenizer()},
                       {"tokens", tokenizer.size()},
                       {"bos", tokenizer.bos() ? ordered_json(*tokenizer.bos()) : ordered_json()},
                       {"adds_bos", tokenizer.adds_bos()}};
  json["stop_tokens"] = ordered_json::array();
  for (const auto& stop : tokenizer.stop_tokens()) {
    json["stop_tokens"].push_back({{"id", stop.id}, {"text", stop.text}, {"why", stop.why}});
  }
  json["layer_cost"] = ordered_json::array();
  json["layer_bytes"] = ordered_json::array();
  for (int layer = 0; layer < config.layers; ++layer) {
    json["layer_cost"].push_back(model.layer_cost(layer));
    json["layer_bytes"].push_back(model.weight_bytes({.first = layer, .end = layer + 1}));
  }
  json["head_cost"] = model.head_cost();
  json["embedding_bytes"] = model.weight_bytes({.has_embedding = true});
  json["head_bytes"] = model.weight_bytes({.has_head = true});
  json["kv_bytes_per_token"] = kv_bytes_per_token(config);
  return json;
}

// Names in the file may be of any bytes; what is not UTF-8 becomes U+FFFD.
void print(const ordered_json& json, std::ostream& out, int indent = -1) {
  out << json.dump(indent, ' ', false, ordered_json::error_handler_t::replace) << '\n';
}

void print_table(const model::Model& model, std::ostream& out) {
  const auto& config = model.config();
  const auto& tokenizer = model.tokenizer();
  const auto line = [&](std::string_view name) -> std::ostream& {
    return out << std::left << std::setw(11) << name << std::right;
  };
  line("model") << model::printable(config.name) << ", " << config.architecture << '\n';
  line("file") << model.path().string() << ", " << megabytes(model.weights().bytes())
               << ", fingerprint " << model::fingerprint(model) << '\n';
  line("shape") << config.layers << " layers, hidden " << config.hidden << ", " << config.heads
                << " heads of " << config.head_dim << " over " << config.kv_heads
                << " KV heads, ffn " << config.ffn << ", vocabulary " << config.vocab
                << ", context " << config.context << '\n';
  line("rope") << rope_text(config.rope);
  if (config.window_rope != config.rope) out << "; in windows " << rope_text(config.window_rope);
  out << '\n';
  if (const auto more = extras(config); !more.empty()) line("also") << more << '\n';
  line("weights") << millions(static_cast<double>(model.weights().parameters())) << " parameters";
  for (const auto& [type, bytes] : bytes_by_type(model.weights())) {
    out << ", " << type << ' ' << megabytes(bytes);
  }
  out << (config.tied_head ? "; the head is the embedding\n" : "\n");
  line("tokenizer") << tokenizer.kind() << ", " << tokenizer.pre_tokenizer() << ", "
                    << tokenizer.size() << " tokens, "
                    << (tokenizer.adds_bos() ? "adds BOS\n" : "adds no BOS\n");
  std::string_view name = "stop ids";
  for (const auto& stop : tokenizer.stop_tokens()) {
    line(name) << std::setw(6) << stop.id << "  " << model::printable(stop.text) << "  ("
               << stop.why << ")\n";
    name = "";
  }
  const double layer = model.layer_cost(0), head = model.head_cost();
  std::ostringstream ratio;
  ratio << std::fixed << std::setprecision(2) << head / layer;
  line("cost") << "multiply-adds a token: a layer " << millions(layer) << ", the head "
               << millions(head) << " (" << ratio.str() << " layers)\n";
  line("memory") << "a layer " << megabytes(model.weight_bytes({.first = 0, .end = 1}))
                 << ", embedding " << megabytes(model.weight_bytes({.has_embedding = true}))
                 << ", head " << megabytes(model.weight_bytes({.has_head = true}))
                 << ", KV cache (halves) " << kv_bytes_per_token(config) << " bytes a token\n";
  line("precision") << "activations in products: on the CPU 8 bits (fast), 15 (high) where weights "
                       "are integers, or fp32 (exact); on GPUs halves (fast), two each (high), or "
                       "fp32 (exact); sums in fp32\n";
}

void print_split(const model::Model& model, int stages, std::ostream& out) {
  const auto parts = split(model, stages);
  out << "\nstage  layers             cost  weights\n";
  int stage = 0;
  for (const auto& [range, of_cost] : parts) {
    out << std::left << std::setw(7) << stage++ << std::setw(16) << to_string(range) << std::right
        << std::fixed << std::setprecision(1) << std::setw(5) << 100 * of_cost << " %  "
        << megabytes(model.weight_bytes(range)) << '\n';
  }
}

// Why no chat can be rendered; nullopt: nothing is in the way.
std::optional<std::string> chat_problem(const model::Model& model,
                                        const std::filesystem::path& chat_template) {
  if (chat_template.empty()) return model.chat().problem();
  try {
    return model.chat().with_template(chat_template).problem();
  } catch (const Error& error) {
    return error.what();
  }
}

// What `use` says of the model; as JSON an error is an answer too.
int answer(const InspectOptions& options, std::ostream& out,
           const std::function<void(const model::Model&)>& use) {
  try {
    use(model::Model::open(options.model));
    return 0;
  } catch (const Error& error) {
    if (options.format != "json") throw;
    print({{"ok", false}, {"error", error.what()}}, out);
    return jobs::kBadInput;
  }
}

}  // namespace

int inspect(const InspectOptions& options, std::ostream& out) {
  return answer(options, out, [&](const model::Model& model) {
    if (options.format == "json") {
      ordered_json json = details(model);
      if (options.stages > 0) json["split"] = split_json(model, options.stages);
      print(json, out, 2);
    } else {
      print_table(model, out);
      if (options.stages > 0) print_split(model, options.stages, out);
    }
  });
}

int check(const InspectOptions& options, std::ostream& out) {
  return answer(options, out, [&](const model::Model& model) {
    const auto problem = chat_problem(model, options.chat_template);
    if (options.format == "json") {
      ordered_json json = {{"ok", true}};
      json.update(facts(model));
      json["chat_problem"] = problem ? ordered_json(*problem) : ordered_json();
      print(json, out);
    } else {
      out << options.model.string() << ": supported (" << model.config().architecture << ", "
          << model.config().layers << " layers)\n";
      if (problem) out << "no chats: " << *problem << '\n';
    }
  });
}

}  // namespace sluice::worker
