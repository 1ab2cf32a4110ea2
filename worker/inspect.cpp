#include "worker/inspect.h"

#include <array>
#include <cstdint>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string_view>

#include "kernels/backend.h"
#include "kernels/quant.h"
#include "worker/error.h"
#include "worker/model/model.h"
#include "worker/model/printable.h"

namespace sluice::worker {
namespace {

using nlohmann::ordered_json;

constexpr int kExitBadInput = 2;

std::uint64_t parameters(const model::Gguf& file) {
  std::uint64_t count = 0;
  for (const auto& tensor : file.tensors()) count += tensor.rows * tensor.cols;
  return count;
}

std::map<std::string_view, std::uint64_t> bytes_by_type(const model::Gguf& file) {
  std::map<std::string_view, std::uint64_t> bytes;
  for (const auto& tensor : file.tensors()) {
    bytes[kernels::block_format(tensor.type).name] += tensor.bytes;
  }
  return bytes;
}

std::uint64_t weight_bytes(const model::Gguf& file) {
  std::uint64_t total = 0;
  for (const auto& [type, bytes] : bytes_by_type(file)) total += bytes;
  return total;
}

std::uint64_t kv_bytes_per_token(const model::ModelConfig& config) {
  return kernels::kv_bytes_per_page({.layers = config.layers,
                                     .kv_heads = config.kv_heads,
                                     .head_dim = config.head_dim,
                                     .pages = 1}) /
         kernels::kKvPageTokens;
}

std::string hex(std::uint64_t value) {
  std::ostringstream text;
  text << std::hex << std::setw(16) << std::setfill('0') << value;
  return text.str();
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
  for (const auto& [type, bytes] : bytes_by_type(model.file())) types[std::string(type)] = bytes;
  return {{"architecture", config.architecture},
          {"name", config.name},
          {"layers", config.layers},
          {"hidden", config.hidden},
          {"vocab", config.vocab},
          {"context", config.context},
          {"parameters", parameters(model.file())},
          {"weight_bytes", weight_bytes(model.file())},
          {"weight_types", types},
          {"file_bytes", model.file().file_bytes()},
          {"header_hash", hex(model.file().header_hash())}};
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
  json["rope"] = {{"base", config.rope_base},
                  {"linear_factor", config.rope_linear_factor},
                  {"freq_factors", !config.rope_freq_factors.empty()}};
  json["tokenizer"] = {{"kind", "gpt2"},
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
  line("file") << model.file().path().string() << ", " << megabytes(model.file().file_bytes())
               << ", header " << hex(model.file().header_hash()) << '\n';
  line("shape") << config.layers << " layers, hidden " << config.hidden << ", " << config.heads
                << " heads of " << config.head_dim << " over " << config.kv_heads
                << " KV heads, ffn " << config.ffn << ", vocabulary " << config.vocab
                << ", context " << config.context << '\n';
  line("rope") << "base " << config.rope_base << ", linear factor " << config.rope_linear_factor
               << (config.rope_freq_factors.empty() ? "" : ", with frequency factors") << '\n';
  line("weights") << millions(static_cast<double>(parameters(model.file()))) << " parameters";
  for (const auto& [type, bytes] : bytes_by_type(model.file())) {
    out << ", " << type << ' ' << megabytes(bytes);
  }
  out << (config.tied_head ? "; the head is the embedding\n" : "\n");
  line("tokenizer") << "byte-level BPE, " << tokenizer.pre_tokenizer() << ", " << tokenizer.size()
                    << " tokens, " << (tokenizer.adds_bos() ? "adds BOS\n" : "adds no BOS\n");
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
                 << ", KV cache (fp32) " << kv_bytes_per_token(config) << " bytes a token\n";
}

}  // namespace

int inspect(const InspectOptions& options, std::ostream& out) {
  const auto model = model::Model::open(options.model);
  if (options.format == "json") {
    print(details(model), out, 2);
  } else {
    print_table(model, out);
  }
  return 0;
}

int check(const InspectOptions& options, std::ostream& out) {
  try {
    const auto model = model::Model::open(options.model);
    ordered_json json = {{"ok", true}};
    json.update(facts(model));
    if (options.format == "json") {
      print(json, out);
    } else {
      out << options.model.string() << ": supported (" << model.config().architecture << ", "
          << model.config().layers << " layers)\n";
    }
    return 0;
  } catch (const Error& error) {
    if (options.format != "json") throw;
    print({{"ok", false}, {"error", error.what()}}, out);
    return kExitBadInput;
  }
}

}  // namespace sluice::worker
