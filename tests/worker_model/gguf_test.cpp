// Oracle: headers written field by field from the GGUF specification (gguf_writer.h); what was
// written must be read, and each single lie must be refused by a message that names it.
#include "worker/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <functional>
#include <map>

#include "tests/jobs/temp_dir.h"
#include "tests/worker_model/gguf_writer.h"
#include "tests/worker_model/memory_file.h"
#include "worker/error.h"

namespace sluice::worker::model {
namespace {

using testing::HasSubstr;
using tests::GgufWriter;
using tests::MemoryFile;

constexpr std::uint32_t kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ8_0 = 8, kIq2S = 22, kBf16 = 30;

// The message with which opening `bytes` fails; "opened" when it does not.
std::string refusal(std::string_view bytes) {
  const MemoryFile file(bytes);
  try {
    Gguf::open(file.path());
  } catch (const Error& error) {
    return error.what();
  }
  return "opened";
}

TEST(Gguf, ReadsEveryKindOfValueAsWritten) {
  const std::string bytes = GgufWriter()
                                .pair("u8", GgufWriter::u8, std::uint8_t{200})
                                .pair("i8", GgufWriter::i8, std::int8_t{-5})
                                .pair("u16", GgufWriter::u16, std::uint16_t{60000})
                                .pair("i16", GgufWriter::i16, std::int16_t{-30000})
                                .pair("u32", GgufWriter::u32, std::uint32_t{4000000000})
                                .pair("i32", GgufWriter::i32, std::int32_t{-7})
                                .pair("u64", GgufWriter::u64, ~std::uint64_t{0})
                                .pair("i64", GgufWriter::i64, std::int64_t{-1} << 62)
                                .pair("f32", GgufWriter::f32, 0.5f)
                                .pair("f64", GgufWriter::f64, 0.1)
                                .pair("yes", GgufWriter::boolean, std::uint8_t{1})
                                .pair("text", "llama")
                                .strings("words", {"a", "", "ccc"})
                                .begin_array("bytes", GgufWriter::u8, 3)
                                .raw("\x01\x02\xff")
                                .file();
  const MemoryFile memory(bytes);
  const Gguf file = Gguf::open(memory.path());
  EXPECT_EQ(file.integer("u8"), 200);
  EXPECT_EQ(file.integer("i8"), -5);
  EXPECT_EQ(file.integer("u16"), 60000);
  EXPECT_EQ(file.integer("i16"), -30000);
  EXPECT_EQ(file.integer("u32"), 4000000000);
  EXPECT_EQ(file.integer("i32"), -7);
  EXPECT_EQ(std::get<std::uint64_t>(*file.find("u64")), ~std::uint64_t{0});
  EXPECT_EQ(file.integer("i64"), std::int64_t{-1} << 62);
  EXPECT_EQ(file.number("f32"), 0.5);
  EXPECT_EQ(file.number("f64"), 0.1);
  EXPECT_EQ(file.boolean("yes"), true);
  EXPECT_EQ(file.string("text"), "llama");
  EXPECT_THAT(*file.strings("words"), testing::ElementsAre("a", "", "ccc"));
  EXPECT_THAT(*file.integers("bytes"), testing::ElementsAre(1, 2, 255));
  EXPECT_EQ(file.integer("absent"), std::nullopt);
  EXPECT_THROW(file.integer("text"), Error);
  EXPECT_THROW(file.integer("u64"), Error) << "does not fit 63 bits";
  EXPECT_THROW(file.strings("bytes"), Error);
  EXPECT_EQ(file.weights().bytes(), bytes.size());
}

TEST(Gguf, PlacesTensorsByTypeAndShape) {
  std::string bytes = GgufWriter()
                          .tensor("vector", {8}, kF32, 0)            // 32 bytes
                          .tensor("half", {16, 2}, kF16, 32)         // 64
                          .tensor("brain", {16, 2, 1}, kBf16, 96)    // 64
                          .tensor("q8", {32, 2}, kQ8_0, 160)         // 68
                          .tensor("q40", {64, 3, 2, 1}, kQ4_0, 256)  // 216
                          .tensor("q41", {32, 1}, kQ4_1, 480)        // 20
                          .file(500);
  const std::size_t data = bytes.size() - 500;
  std::memcpy(&bytes[data + 32], "sixteen halves..", 16);
  const MemoryFile memory(bytes);
  const Gguf file = Gguf::open(memory.path());
  const auto expect = [&](const char* name, std::size_t rows, std::size_t cols,
                          std::uint64_t offset, std::uint64_t size) {
    const TensorInfo* tensor = file.weights().find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(tensor->rows, rows) << name;
    EXPECT_EQ(tensor->cols, cols) << name;
    EXPECT_EQ(tensor->offset, data + offset) << name;
    EXPECT_EQ(tensor->bytes, size) << name;
  };
  expect("vector", 1, 8, 0, 32);
  expect("half", 2, 16, 32, 64);
  expect("brain", 2, 16, 96, 64);
  expect("q8", 2, 32, 160, 68);
  expect("q40", 6, 64, 256, 216);
  expect("q41", 1, 32, 480, 20);
  EXPECT_EQ(file.weights().find("other"), nullptr);

  std::string got(16, '\0');
  const auto out = std::as_writable_bytes(std::span(got));
  const TensorInfo& half = *file.weights().find("half");
  file.weights().read(half, 0, out);
  EXPECT_EQ(got, "sixteen halves..");
  EXPECT_THROW(file.weights().read(half, half.bytes - 15, out), Error);
  EXPECT_THROW(file.weights().read(half, ~std::uint64_t{0} - 4, out), Error);
}

TEST(Gguf, KnowsEveryTypeByItsNumber) {  // ggml.h, enum ggml_type; bytes of 256 values
  const std::map<std::uint32_t, std::uint64_t> bytes_of = {
      {0, 1024}, {1, 512},  {2, 144},  {3, 160},  {6, 176},  {7, 192},  {8, 272},
      {10, 84},  {11, 110}, {12, 144}, {13, 176}, {14, 210}, {20, 144}, {30, 512}};
  for (std::uint32_t code = 0; code < 64; ++code) {
    const MemoryFile memory(GgufWriter().tensor("t", {256}, code, 0).file(1024));
    const auto known = bytes_of.find(code);
    if (known == bytes_of.end()) {
      EXPECT_THROW(Gguf::open(memory.path()), Error) << code;
    } else {
      EXPECT_EQ(Gguf::open(memory.path()).weights().find("t")->bytes, known->second) << code;
    }
  }
}

TEST(Gguf, HashIsOfTheHeaderAlone) {
  const auto hash = [](std::string_view bytes) {
    const MemoryFile memory(bytes);
    return Gguf::open(memory.path()).header_hash();
  };
  const std::string bytes = GgufWriter().pair("k", "v").tensor("t", {8}, kF32, 0).file(32);
  std::string other_data = bytes, other_header = bytes;
  other_data.back() ^= 1;
  other_header[24 + 8] ^= 1;  // the first byte of the key
  EXPECT_EQ(hash(bytes), hash(other_data));
  EXPECT_NE(hash(bytes), hash(other_header));
  // FNV-1a of the 24 bytes "GGUF", 3, 0, 0, computed apart from this code.
  EXPECT_EQ(hash(GgufWriter().file()), 0x4b394265afd1f3efu);
}

TEST(Gguf, RefusesWhatIsNoModelByItsFirstBytes) {
  EXPECT_THAT(refusal(""), HasSubstr("cut short"));
  EXPECT_THAT(refusal("GGU"), HasSubstr("cut short"));
  EXPECT_THAT(refusal("PK\x03\x04 and more bytes"), HasSubstr("not a GGUF file"));
  EXPECT_THAT(refusal("version https://git-lfs.github.com/spec/v1"), HasSubstr("git lfs pull"));
  GgufWriter writer;
  for (const auto& [version, words] : {std::pair{1u, "version 1 is not supported"},
                                       {4u, "version 4 is not supported"},
                                       {0x03000000u, "big-endian"}}) {
    writer.version = version;
    EXPECT_THAT(refusal(writer.file()), HasSubstr(words));
  }
  writer.version = 2;
  EXPECT_EQ(refusal(writer.file()), "opened");
}

TEST(Gguf, RefusesCountsThatTheFileCannotHold) {
  for (const std::int64_t count :
       {std::int64_t{1000}, std::int64_t{1} << 32, std::numeric_limits<std::int64_t>::max()}) {
    GgufWriter tensors, pairs;
    tensors.tensor_count = count;
    pairs.pair_count = count;
    EXPECT_THAT(refusal(tensors.file()), HasSubstr("tensors, but the file has only"));
    EXPECT_THAT(refusal(pairs.file()), HasSubstr("metadata pairs, but the file has only"));
  }
  for (const std::uint64_t count : {std::uint64_t{1} << 20, std::uint64_t{1} << 61,
                                    ~std::uint64_t{0}, ~std::uint64_t{0} / 8 + 2}) {
    for (const auto type : {GgufWriter::u8, GgufWriter::f64, GgufWriter::string}) {
      EXPECT_THAT(refusal(GgufWriter().begin_array("long", type, count).file(256)),
                  HasSubstr("metadata 'long'"));
    }
    GgufWriter text;
    text.pair("text", GgufWriter::string, count);  // a length without a text
    EXPECT_THAT(refusal(text.file(256)), HasSubstr("bytes of text, but the file has only"));
  }
}

TEST(Gguf, RefusesMetadataThatLie) {
  EXPECT_THAT(refusal(GgufWriter().pair("k", "a").pair("k", "b").file()),
              HasSubstr("metadata 'k'"));
  EXPECT_THAT(refusal(GgufWriter().pair("k", "a").pair("k", "b").file()), HasSubstr("twice"));
  EXPECT_THAT(refusal(GgufWriter().pair("b", GgufWriter::boolean, std::uint8_t{2}).file()),
              HasSubstr("a boolean holds 2"));
  EXPECT_THAT(refusal(GgufWriter().pair("t", static_cast<GgufWriter::Type>(13), 0).file()),
              HasSubstr("value type 13"));
  for (const std::uint64_t count : {0, 1}) {
    EXPECT_THAT(refusal(GgufWriter().begin_array("n", GgufWriter::array, count).file(64)),
                HasSubstr("an array within an array"));
  }
  EXPECT_THAT(
      refusal(GgufWriter().begin_array("w", GgufWriter::u64, 1).raw(std::string(8, '\xff')).file()),
      HasSubstr("63 bits"));
  for (const std::uint32_t alignment : {0u, 24u, 1u << 31}) {
    EXPECT_THAT(refusal(GgufWriter().size("general.alignment", alignment).file()),
                HasSubstr("power of two"));
  }
}

// A part of a split model, as llama-gguf-split writes it.
std::string part(int number, int count, const std::string& tensor, int tensors = 2) {
  return GgufWriter()
      .pair("split.no", GgufWriter::u16, static_cast<std::uint16_t>(number - 1))
      .pair("split.count", GgufWriter::u16, static_cast<std::uint16_t>(count))
      .pair("split.tensors.count", GgufWriter::i32, tensors)
      .pair("part", GgufWriter::i32, number)
      .tensor(tensor, {8}, kF32, 0)
      .file(32);
}

TEST(Gguf, PartsOfASplitModelAreOne) {
  const tests::TempDir folder;
  const auto first = folder.write("m-00001-of-00002.gguf", part(1, 2, "a"));
  const auto second = folder.write("m-00002-of-00002.gguf", part(2, 2, "b"));
  const Gguf model = Gguf::open(first);
  EXPECT_EQ(model.weights().tensors().size(), 2u);
  EXPECT_EQ(model.weights().path_of(*model.weights().find("b")), second);
  EXPECT_EQ(model.integer("part"), 1) << "the first part holds the metadata";

  const auto refusal = [](const std::filesystem::path& path) -> std::string {
    try {
      Gguf::open(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(second), HasSubstr("name the first part, which ends in -00001-of-00002"));
  EXPECT_THAT(refusal(folder.write("other.gguf", part(1, 2, "a"))), HasSubstr("name the first"));
  const std::uint64_t hash = model.header_hash();
  folder.write("m-00002-of-00002.gguf", part(2, 2, "c"));
  EXPECT_NE(Gguf::open(first).header_hash(), hash) << "every part counts";
  folder.write("m-00002-of-00002.gguf", part(2, 2, "a"));
  EXPECT_THAT(refusal(first), HasSubstr("tensor 'a' stands twice"));
  folder.write("m-00002-of-00002.gguf", part(2, 3, "b"));
  EXPECT_THAT(refusal(first), HasSubstr("is not part 2 of the 2"));
  folder.write("m-00001-of-00002.gguf", part(1, 2, "a", 3));
  folder.write("m-00002-of-00002.gguf", part(2, 2, "b"));
  EXPECT_THAT(refusal(first), HasSubstr("hold 2 tensors, not 3"));
  std::filesystem::remove(second);
  EXPECT_THAT(refusal(first), HasSubstr("m-00002-of-00002.gguf: cannot be opened"));
}

TEST(Gguf, RefusesTensorsThatLie) {
  const auto with = [](std::initializer_list<std::uint64_t> dimensions, std::uint32_t code,
                       std::uint64_t offset) {
    return refusal(GgufWriter().tensor("t.weight", dimensions, code, offset).file(4096));
  };
  EXPECT_EQ(with({64, 8}, kF32, 0), "opened");
  EXPECT_THAT(with({64, 8}, kIq2S, 0),
              AllOf(HasSubstr("'t.weight'"), HasSubstr("IQ2_S is not supported"),
                    HasSubstr("supported: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K "
                              "Q5_K Q6_K IQ4_NL)")));
  EXPECT_THAT(with({64, 8}, 12345, 0), HasSubstr("type 12345"));
  EXPECT_THAT(with({}, kF32, 0), HasSubstr("0 dimensions"));
  EXPECT_THAT(with({1, 1, 1, 1, 1}, kF32, 0), HasSubstr("5 dimensions"));
  EXPECT_THAT(with({0, 8}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({8, 0}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({1ull << 32, 1ull << 32}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({32, 1ull << 40, 1ull << 40}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({1ull << 62}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({8, 3, 0xaaaaaaaaaaaaaaab}, kF32, 0), HasSubstr("impossible shape"))
      << "3 times this is 1 in 64 bits";
  EXPECT_THAT(with({(1ull << 62) + 8}, kF32, 0), HasSubstr("impossible shape"));
  EXPECT_THAT(with({48, 2}, kQ8_0, 0), HasSubstr("not a multiple"));
  EXPECT_THAT(with({1025}, kF32, 0), HasSubstr("end past the data's"));
  EXPECT_THAT(with({8}, kF32, 4096), HasSubstr("end past the data's"));
  EXPECT_THAT(with({8}, kF32, ~0ull - 31), HasSubstr("end past the data's"));
  EXPECT_THAT(with({8}, kF32, 8), HasSubstr("not a multiple of 32"));

  const auto two = [](std::uint64_t second, const char* name) {
    return refusal(
        GgufWriter().tensor("a", {16}, kF32, 0).tensor(name, {16}, kF32, second).file(4096));
  };
  EXPECT_EQ(two(64, "b"), "opened");
  EXPECT_THAT(two(32, "b"), HasSubstr("overlaps tensor 'a'"));
  EXPECT_THAT(two(64, "a"), HasSubstr("twice"));
}

TEST(Gguf, MessagesNamePathOffsetAndNoForeignBytes) {
  const std::string message = refusal(
      GgufWriter().pair("\x1b[31m\n" + std::string(1000, 'x'), GgufWriter::boolean, '\2').file());
  EXPECT_THAT(message, HasSubstr("/proc/self/fd/"));
  EXPECT_THAT(message, HasSubstr("(offset "));
  EXPECT_THAT(message, HasSubstr("\\x1b[31m\\x0a"));
  EXPECT_LT(message.size(), 400u);
}

TEST(Gguf, RefusesPathsThatAreNoFile) {
  EXPECT_THROW(Gguf::open("/nowhere/model.gguf"), Error);
  EXPECT_THROW(Gguf::open("/tmp"), Error);
}

TEST(Gguf, APipeIsRefusedAtOnce) {
  const tests::TempDir folder;
  const auto pipe = folder / "model.gguf";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT([&] { Gguf::open(pipe); },
              testing::ThrowsMessage<Error>(HasSubstr("is not a regular file")));
}

}  // namespace
}  // namespace sluice::worker::model
