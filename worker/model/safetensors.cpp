#include "worker/model/safetensors.h"

#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/error.h"
#include "worker/json_value.h"
#include "worker/model/hash.h"
#include "worker/model/header_reader.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::uint64_t kHeaderBytesMax = 100'000'000;  // the format's own limit
constexpr std::uint64_t kIndexBytesMax = 100'000'000;
constexpr std::size_t kDimensionsMax = 4;
constexpr const char* kMetadata = "__metadata__";  // the one name in a header that is no tensor

kernels::WeightType read_type(const JsonValue& dtype) {
  const std::string name = dtype.string();
  if (name == "F32") return kernels::WeightType::f32;
  if (name == "F16") return kernels::WeightType::f16;
  if (name == "BF16") return kernels::WeightType::bf16;
  dtype.refuse("F32, F16, BF16");
}

std::vector<std::uint64_t> read_naturals(const JsonValue& json) {
  if (!json.is_array()) json.fail("is no array");
  std::vector<std::uint64_t> values;
  for (const JsonValue& element : json.elements()) values.push_back(element.natural());
  return values;
}

// `data`: where the tensors' bytes begin in the file, of which there are `data_bytes`.
TensorInfo read_tensor(const std::string& name, const JsonValue& json, std::uint64_t data,
                       std::uint64_t data_bytes) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.type = read_type(json["dtype"]);
  auto shape = read_naturals(json["shape"]);
  if (shape.empty() || shape.size() > kDimensionsMax) {
    json.fail("has " + std::to_string(shape.size()) + " dimensions, not 1 to " +
              std::to_string(kDimensionsMax));
  }
  tensor.cols = shape.back();
  shape.pop_back();
  tensor.bytes = tensor_bytes(json.subject(), tensor.type, shape, tensor.cols);
  for (const std::uint64_t size : shape) tensor.rows *= size;

  const auto offsets = read_naturals(json["data_offsets"]);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] - offsets[0] != tensor.bytes) {
    json.fail("has 'data_offsets' that are not the " + std::to_string(tensor.bytes) +
              " bytes of its shape; the file is damaged");
  }
  if (offsets[1] > data_bytes) {
    json.fail("ends at " + std::to_string(offsets[1]) + " of the data's " +
              std::to_string(data_bytes) + " bytes; the file is cut short: fetch it again");
  }
  tensor.offset = data + offsets[0];
  return tensor;
}

struct Header {
  std::vector<TensorInfo> tensors;
  std::uint64_t hash = 0;
};

Header read_header(const ReadOnlyFile& file, std::uint64_t hash) {
  HeaderReader in(file, hash);
  const auto bytes = in.number<std::uint64_t>();
  if (bytes > kHeaderBytesMax || bytes > in.left()) {
    in.fail("claims a header of " + std::to_string(bytes) + " bytes, but the file has " +
            std::to_string(in.left()) +
            " left; it is cut short or no safetensors file: fetch it again");
  }
  const JsonDocument document(file.path().string(), in.text(bytes));
  Header header;
  document.root().for_each_member([&](const std::string& name, const JsonValue& tensor) {
    if (name == kMetadata) return;
    header.tensors.push_back(read_tensor(name, tensor, in.offset(), in.left()));
  });
  refuse_overlaps(file.path(), header.tensors);
  header.hash = in.hash();
  return header;
}

// Which tensors each shard has to hold, by the shard's name.
using Shards = std::map<std::string, std::vector<std::string>>;

Shards read_index(const std::filesystem::path& path, const std::string& text) {
  const JsonDocument document(path.string(), text);
  const JsonValue map = document.root()["weight_map"];
  Shards shards;
  map.for_each_member([&](const std::string& tensor, const JsonValue& file) {
    const std::string name = file.string();
    if (name.empty() || name.find('/') != std::string::npos) {
      file.fail("is " + printable(name) + ", which is no file of this folder");
    }
    shards[name].push_back(tensor);
  });
  if (shards.empty()) map.fail("names no file");
  return shards;
}

}  // namespace

Safetensors open_safetensors(const std::filesystem::path& folder) {
  std::uint64_t hash = kHashOfNothing;
  Shards shards = {{kWeightsFile, {}}};
  if (const auto index = folder / kIndexFile; std::filesystem::exists(index)) {
    const std::string text = read_small_file(index, kIndexBytesMax);
    hash = hash_on(hash, std::as_bytes(std::span(text)));
    shards = read_index(index, text);
  } else if (!std::filesystem::exists(folder / kWeightsFile)) {
    throw Error(folder.string() + ": holds neither " + kWeightsFile + " nor " + kIndexFile +
                "; a model's folder has one of them beside config.json (weights of another kind: "
                "convert them to safetensors or GGUF)");
  }
  std::vector<ReadOnlyFile> files;
  std::vector<TensorInfo> tensors;
  for (const auto& [name, wanted] : shards) {
    if (!std::filesystem::exists(folder / name)) {
      throw Error((folder / name).string() + ": is missing, though " + kIndexFile + " places " +
                  std::to_string(wanted.size()) + " of the model's tensors there; fetch it again");
    }
    Header header = read_header(files.emplace_back(folder / name), hash);
    hash = header.hash;
    std::set<std::string_view> found;
    for (TensorInfo& tensor : header.tensors) {
      tensor.file = files.size() - 1;
      found.insert(tensor.name);
    }
    for (const std::string& tensor : wanted) {
      if (found.contains(tensor)) continue;
      throw Error((folder / name).string() + ": lacks tensor " + printable(tensor) + ", which " +
                  kIndexFile + " places there; fetch it again");
    }
    for (TensorInfo& tensor : header.tensors) tensors.push_back(std::move(tensor));
  }
  return {.weights = WeightFiles(std::move(files), std::move(tensors)), .header_hash = hash};
}

}  // namespace sluice::worker::model
