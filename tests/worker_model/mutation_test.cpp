// Oracle: none is needed: whatever the bytes, opening a model must end with a worker::Error or a
// model, never with another exception, a crash, a hang or an allocation out of proportion. The
// sanitized build holds allocations to kAllocationMax.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>

#include "tests/worker_model/memory_file.h"
#include "worker/error.h"
#include "worker/model/gguf_header.h"
#include "worker/model/model.h"

// Larger than kMemoryPerFileByteMax times the largest header here (a megabyte of room is given).
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=16:allocator_may_return_null=0";
}

namespace sluice::worker::model {
namespace {

constexpr std::array kModels = {"llama-rope3-tied-bf16", "smollm-tied-f16"};

struct Sample {
  std::string header;  // up to the first tensor's bytes
  std::uint64_t file_bytes = 0;
};

Sample read_sample(const std::string& name) {
  const std::string path = std::string(SLUICE_TEST_DATA) + "/tiny/" + name + "/model.gguf";
  const Gguf file = Gguf::open(path);
  const auto first = std::ranges::min(file.weights().tensors(), {}, &TensorInfo::offset).offset;
  std::ifstream in(path, std::ios::binary);
  Sample sample{std::string(first, '\0'), file.weights().bytes()};
  in.read(sample.header.data(), static_cast<std::streamsize>(first));
  return sample;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::string mutate(std::string bytes) {
    for (int changes = 1 + below(3); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }

  void change(std::string& bytes) {
    constexpr std::array<std::uint64_t, 12> kTelling = {0,
                                                        1,
                                                        2,
                                                        0x7f,
                                                        0xffff,
                                                        0x7fffffff,
                                                        0x80000000,
                                                        0xffffffff,
                                                        std::uint64_t{1} << 40,
                                                        ~std::uint64_t{0} / 8 + 2,
                                                        ~std::uint64_t{0} - 30,
                                                        ~std::uint64_t{0}};
    const std::size_t at = below(bytes.size() - 8);
    switch (below(16)) {
      case 0:  // everything after it moves
        bytes.erase(at, 1 + below(16));
        break;
      case 1: {
        const std::size_t from = below(bytes.size() - 8);
        std::memmove(&bytes[at], &bytes[from], below(bytes.size() - std::max(at, from)));
        break;
      }
      case 2:
      case 3:
      case 4:  // a count, a length or an offset, sooner or later
        std::memcpy(&bytes[at], &kTelling[below(kTelling.size())], below(2) ? 8 : 4);
        break;
      case 5:
      case 6:
        bytes[at] = static_cast<char>(random_());
        break;
      default:
        bytes[at] ^= static_cast<char>(1 << below(8));
    }
  }

  std::mt19937_64 random_;
};

TEST(GgufMutation, EndsInAnErrorOrAModel) {
  constexpr int kMutations = 12'000;
  int readable = 0, opened = 0, refused = 0;
  for (std::size_t m = 0; m < kModels.size(); ++m) {
    const Sample sample = read_sample(kModels[m]);
    Mutator mutator(1 + m);
    tests::MemoryFile memory;
    for (int i = 0; i < kMutations / 2; ++i) {
      memory.write(mutator.mutate(sample.header), sample.file_bytes);
      try {
        Gguf::open(memory.path());
        ++readable;
        const Model model = Model::open(memory.path());
        model.tokenizer().decode(model.tokenizer().encode("Hello <|im_end|> 123", {}), false);
        ++opened;
      } catch (const Error&) {
        ++refused;
      } catch (const std::exception& error) {
        FAIL() << kModels[m] << ", seed " << 1 + m << ", mutation " << i << ": " << error.what();
      }
    }
  }
  std::cout << "mutations: " << refused << " refused, " << readable << " with a readable header, "
            << opened << " opened\n";
  EXPECT_GT(refused, kMutations / 10);
  EXPECT_GT(readable, kMutations / 10) << "the mutations are too coarse to reach past the header";
  EXPECT_GT(opened, 0);
}

TEST(GgufTruncation, EveryCutHeaderIsRefused) {
  for (const char* name : kModels) {
    const Sample sample = read_sample(name);
    tests::MemoryFile memory;
    for (std::size_t size = 0; size < sample.header.size(); size += 97) {
      memory.write(std::string_view(sample.header).substr(0, size));
      EXPECT_THROW(Gguf::open(memory.path()), Error) << name << " cut to " << size;
    }
    memory.write(sample.header, sample.file_bytes - 1);
    EXPECT_THROW(Gguf::open(memory.path()), Error) << name << " without its last byte";
    memory.write(sample.header, sample.file_bytes);
    EXPECT_NO_THROW(Gguf::open(memory.path())) << name;
  }
}

}  // namespace
}  // namespace sluice::worker::model
