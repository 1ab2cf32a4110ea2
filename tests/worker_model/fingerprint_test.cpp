// Oracle: a model that differs in anything that its answers depend on is another model.
#include "worker/model/fingerprint.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/jobs/temp_dir.h"
#include "worker/model/weight_files.h"

namespace sluice::worker::model {
namespace {

const std::filesystem::path kTiny = std::filesystem::path(SLUICE_TEST_DATA) / "tiny";

std::string fingerprint_of(const std::filesystem::path& path) {
  return fingerprint(Model::open(path));
}

void flip_byte(const std::filesystem::path& path, std::uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 1));
}

TEST(Fingerprint, IsOfTheContentsNotOfThePath) {
  const tests::TempDir dir;
  const auto file = kTiny / "smollm-tied-f16" / "model.gguf";
  std::filesystem::copy_file(file, dir / "copy.gguf");
  EXPECT_EQ(fingerprint_of(dir / "copy.gguf"), fingerprint_of(file));
}

TEST(Fingerprint, SeesEveryTensor) {
  const tests::TempDir dir;
  const auto file = dir / "model.gguf";
  std::filesystem::copy_file(kTiny / "smollm-tied-f16" / "model.gguf", file);
  const std::string before = fingerprint_of(file);
  const Model model = Model::open(file);
  for (const TensorInfo& tensor : model.weights().tensors()) {
    const std::uint64_t middle = tensor.offset + tensor.bytes / 2;
    flip_byte(file, middle);
    EXPECT_NE(fingerprint_of(file), before) << tensor.name;
    flip_byte(file, middle);
  }
  EXPECT_EQ(fingerprint_of(file), before);
}

TEST(Fingerprint, SeesTheJsonFilesOfAFolder) {
  const tests::TempDir dir;
  const auto folder = dir / "model";
  std::filesystem::copy(kTiny / "smollm-tied-f16", folder);
  const std::string before = fingerprint_of(folder);
  std::ofstream(folder / "tokenizer.json", std::ios::app) << "\n";
  const std::string after = fingerprint_of(folder);
  EXPECT_NE(after, before);
  std::ofstream(folder / "config.json", std::ios::app) << "\n";
  EXPECT_NE(fingerprint_of(folder), after);
}

TEST(Fingerprint, SeesTheChatTemplateOfAFolder) {
  const tests::TempDir dir;
  const auto folder = dir / "model";
  std::filesystem::copy(kTiny / "smollm-tied-f16", folder);
  const std::string before = fingerprint_of(folder);
  std::ofstream(folder / "chat_template.jinja", std::ios::app) << " ";
  EXPECT_NE(fingerprint_of(folder), before);
}

}  // namespace
}  // namespace sluice::worker::model
