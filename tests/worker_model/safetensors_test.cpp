// Oracle: headers written here, and the tiny models' folders.
#include "worker/model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/jobs/temp_dir.h"
#include "worker/error.h"

namespace sluice::worker::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A length, the header, and `data_bytes` zeros.
std::string file_of(const std::string& header, std::size_t data_bytes = 64) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + header + std::string(data_bytes, '\0');
}

// {"t": {...}} with one tensor.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"t": {"dtype": ")" + dtype + R"(", "shape": )" + shape + R"(, "data_offsets": )" +
         offsets + "}}";
}

std::string refusal_of_bytes(const std::string& bytes) {
  const tests::TempDir folder;
  folder.write("model.safetensors", bytes);
  try {
    open_safetensors(folder.path());
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
    return error.what();
  }
  return "accepted";
}

std::string refusal(const std::string& header) { return refusal_of_bytes(file_of(header)); }

TEST(Safetensors, FindsEveryTensorWhereTheHeaderPlacesIt) {
  const tests::TempDir folder;
  const std::string header =
      R"({"__metadata__": {"format": "pt"},)"
      R"("m": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [16, 28]},)"
      R"("v": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},)"
      R"("h": {"dtype": "F16", "shape": [1, 2, 2], "data_offsets": [28, 36]}})";
  std::string bytes = file_of(header, 36);
  const std::uint64_t data = bytes.size() - 36;
  bytes.replace(data + 16, 12, "twelve bytes");
  folder.write("model.safetensors", bytes);
  const Safetensors files = open_safetensors(folder.path());
  EXPECT_EQ(files.weights.tensors().size(), 3u);
  EXPECT_EQ(files.weights.bytes(), bytes.size());
  const auto expect = [&](const char* name, kernels::WeightType type, std::size_t rows,
                          std::size_t cols, std::uint64_t offset) {
    const TensorInfo* tensor = files.weights.find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->type, type) << name;
    EXPECT_EQ(tensor->rows, rows) << name;
    EXPECT_EQ(tensor->cols, cols) << name;
    EXPECT_EQ(tensor->offset, data + offset) << name;
  };
  expect("v", kernels::WeightType::f32, 1, 4, 0);
  expect("m", kernels::WeightType::bf16, 2, 3, 16);
  expect("h", kernels::WeightType::f16, 2, 2, 28);

  std::string got(12, '\0');
  const TensorInfo& tensor = *files.weights.find("m");
  files.weights.read(tensor, 0, std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(got, "twelve bytes");
  EXPECT_THROW(files.weights.read(tensor, 1, std::as_writable_bytes(std::span(got))), Error);
}

TEST(Safetensors, RefusesHeadersThatLie) {
  EXPECT_EQ(refusal(one("F32", "[2, 4]", "[0, 32]")), "accepted");
  EXPECT_THAT(refusal_of_bytes("short"), HasSubstr("cut short"));
  EXPECT_THAT(refusal_of_bytes(std::string(8, '\xff') + "{}"), HasSubstr("cut short"));
  EXPECT_THAT(refusal("{"), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(refusal("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(refusal(std::string(100000, '[')), HasSubstr("more than 32 deep"));
  EXPECT_THAT(refusal(R"({"t": 1})"), HasSubstr("key 't' is no object"));
  EXPECT_THAT(refusal(one("I64", "[2]", "[0, 16]")),
              HasSubstr("'t.dtype' is 'I64', which is not supported"));
  EXPECT_THAT(refusal(one("F32", "[2, 4]", "[0, 31]")), HasSubstr("are not the 32 bytes"));
  EXPECT_THAT(refusal(one("F32", "[2, 4]", "[32, 0]")), HasSubstr("are not the 32 bytes"));
  EXPECT_THAT(refusal(one("F32", "[2, 4]", "[0]")), HasSubstr("are not the 32 bytes"));
  EXPECT_THAT(refusal(one("F32", "[2, 4]", "[40, 72]")), HasSubstr("cut short"));
  EXPECT_THAT(refusal(one("F32", "[2, -4]", "[0, 32]")),
              HasSubstr("'t.shape[1]' is no natural number"));
  EXPECT_THAT(refusal(one("F32", "[]", "[0, 4]")), HasSubstr("0 dimensions"));
  EXPECT_THAT(refusal(one("F32", "[0, 4]", "[0, 0]")), HasSubstr("impossible shape"));
  EXPECT_THAT(refusal(one("F32", "[4294967296, 4294967296]", "[0, 0]")),
              HasSubstr("impossible shape"));
  EXPECT_THAT(refusal(R"({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},)"
                      R"("b": {"dtype": "F32", "shape": [4], "data_offsets": [12, 28]}})"),
              HasSubstr("tensor 'b' overlaps tensor 'a'"));
}

// A reader that looks at all tensors for each one takes minutes for these.
TEST(Safetensors, FiftyThousandTensorsAreReadWithoutAskingTheClock) {
  constexpr int kTensors = 50'000;
  std::string header = "{";
  for (int i = 0; i < kTensors; ++i) {
    header += (i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[1],"data_offsets":[)" + std::to_string(4 * i) + "," +
              std::to_string(4 * i + 4) + "]}";
  }
  const tests::TempDir folder;
  folder.write("model.safetensors", file_of(header + "}", 4 * kTensors));
  const Safetensors files = open_safetensors(folder.path());
  EXPECT_EQ(files.weights.tensors().size(), std::size_t{kTensors});
  ASSERT_NE(files.weights.find("49999"), nullptr);
}

TEST(Safetensors, ShardsAreThoseOfTheIndex) {
  const tests::TempDir folder;
  folder.write("1.safetensors", file_of(one("F32", "[4]", "[0, 16]")));
  const auto refusal_with = [&](const std::string& index) -> std::string {
    folder.write("model.safetensors.index.json", index);
    try {
      open_safetensors(folder.path());
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto index = [](const std::string& map) { return R"({"weight_map": )" + map + "}"; };
  EXPECT_EQ(refusal_with(index(R"({"t": "1.safetensors"})")), "accepted");
  EXPECT_THAT(refusal_with(index(R"({"t": "2.safetensors"})")),
              HasSubstr("2.safetensors: is missing, though model.safetensors.index.json places 1"));
  EXPECT_THAT(refusal_with(index(R"({"u": "1.safetensors"})")), HasSubstr("lacks tensor 'u'"));
  EXPECT_THAT(refusal_with(index(R"({"t": "../1.safetensors"})")),
              HasSubstr("no file of this folder"));
  EXPECT_THAT(refusal_with(index(R"({"t": 1})")), HasSubstr("'weight_map.t' is no string"));
  EXPECT_THAT(refusal_with(index("{}")), HasSubstr("names no file"));
  EXPECT_THAT(refusal_with("{}"), HasSubstr("'weight_map'"));

  folder.write("2.safetensors", file_of(one("F32", "[4]", "[0, 16]")));
  EXPECT_THAT(refusal_with(index(R"({"t": "1.safetensors", "u": "2.safetensors"})")),
              HasSubstr("lacks tensor 'u'"));
  EXPECT_THAT(refusal_with(index(R"({"t": "1.safetensors"})")), "accepted");
}

TEST(Safetensors, AFolderWithoutWeightsSaysWhatBelongsThere) {
  const tests::TempDir folder;
  folder.write("pytorch_model.bin", "");
  try {
    open_safetensors(folder.path());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("model.safetensors"), HasSubstr("convert")));
  }
}

TEST(Safetensors, EveryHeaderCountsInTheHash) {
  const auto hash = [](const std::string& second) {
    const tests::TempDir folder;
    folder.write("1.safetensors", file_of(one("F32", "[4]", "[0, 16]")));
    folder.write("2.safetensors", file_of(second));
    folder.write("model.safetensors.index.json",
                 R"({"weight_map": {"t": "1.safetensors", "u": "2.safetensors"}})");
    return open_safetensors(folder.path()).header_hash;
  };
  const std::string u = R"({"u": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})";
  const std::string moved = R"({"u": {"dtype": "F32", "shape": [4], "data_offsets": [4, 20]}})";
  EXPECT_EQ(hash(u), hash(u));
  EXPECT_NE(hash(u), hash(moved));
}

}  // namespace
}  // namespace sluice::worker::model
