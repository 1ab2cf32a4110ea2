#include "worker/model/fingerprint.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iomanip>
#include <sstream>

#include "worker/model/hash.h"
#include "worker/model/hugging_face.h"
#include "worker/model/read_only_file.h"

namespace sluice::worker::model {
namespace {

constexpr std::size_t kSampleBytes = 256;

std::uint64_t hash_samples(std::uint64_t hash, const WeightFiles& files) {
  std::array<std::byte, kSampleBytes> sample;
  for (const TensorInfo& tensor : files.tensors()) {
    const std::uint64_t size = std::min<std::uint64_t>(tensor.bytes, sample.size());
    const auto bytes = std::span(sample).first(size);
    files.read(tensor, (tensor.bytes - size) / 2, bytes);
    hash = hash_on(hash, bytes);
  }
  return hash;
}

std::uint64_t hash_file(std::uint64_t hash, const std::filesystem::path& path) {
  const ReadOnlyFile file(path);
  std::vector<std::byte> block(std::size_t{64} << 10);
  for (std::uint64_t offset = 0; offset < file.bytes(); offset += block.size()) {
    const auto bytes =
        std::span(block).first(std::min<std::uint64_t>(block.size(), file.bytes() - offset));
    file.read_at(offset, bytes);
    hash = hash_on(hash, bytes);
  }
  return hash;
}

}  // namespace

std::string fingerprint(const Model& model) {
  std::uint64_t hash = hash_samples(model.header_hash(), model.weights());
  if (std::filesystem::is_directory(model.path())) {
    for (const char* name :
         {kConfigFile, kGenerationConfigFile, kTokenizerFile, kTokenizerConfigFile,
          kSpecialTokensFile, kChatTemplateFile, kChatTemplateJsonFile}) {
      const auto path = model.path() / name;
      if (std::filesystem::exists(path)) hash = hash_file(hash, path);
    }
  }
  std::ostringstream digits;
  digits << std::hex << std::setw(16) << std::setfill('0') << hash;
  return digits.str();
}

}  // namespace sluice::worker::model
