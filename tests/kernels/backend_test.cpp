// Oracle: the contracts in kernels/backend.h: what breaks one ends in Error, with operation and
// shapes in the message.
#include "kernels/backend.h"

#include <gmock/gmock.h>

#include "kernels/cpu.h"
#include "kernels/error.h"
#include "tests/kernels/backends.h"

namespace sluice::kernels {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Property;

class Contract : public EveryBackend {};
INSTANTIATE_TEST_SUITE_P(Backends, Contract, each_backend(), backend_name);

template <class Call>
void expect_error(Call call, const std::string& first, const std::string& second) {
  try {
    call();
    ADD_FAILURE() << "no error; wanted one with \"" << first << "\"";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(first), HasSubstr(second)));
  }
}

std::unique_ptr<Weight> zeros(Backend& backend, const WeightSpec& spec) {
  return load(backend, spec, std::vector<std::byte>(spec.rows * bytes_of(spec.type, spec.cols)));
}

TEST_P(Contract, WrongShapesAreNamed) {
  Device device(*backend_);
  const Tensor x = device.room(2, 64), narrow = device.room(2, 32);
  const auto weight = zeros(*backend_, {.type = WeightType::q8_0, .rows = 32, .cols = 64});
  const auto gain = zeros(*backend_, {.rows = 1, .cols = 64, .use = WeightUse::vector});

  Product product{.weight = weight.get(), .out = narrow};
  backend_->matmul(x, {&product, 1});
  expect_error([&] { backend_->matmul(narrow, {&product, 1}); }, "matmul", "(32, 64)");
  product.out = x;
  expect_error([&] { backend_->matmul(x, {&product, 1}); }, "matmul", "(2, 32)");
  expect_error([&] { backend_->rms_norm(narrow, *gain, {.eps = 1}, narrow); }, "rms_norm",
               "(1, 64)");
  expect_error([&] { backend_->rms_norm(x, *gain, {.eps = 1, .add = true}, x); }, "rms_norm",
               "overlap");
  product = {.weight = weight.get(), .out = narrow, .bias = gain.get()};
  expect_error([&] { backend_->matmul(x, {&product, 1}); }, "matmul", "bias");
  expect_error([&] { backend_->gated_activation(x, narrow, Activation::silu, x); },
               "gated_activation", "(2, 64)");
  std::vector<Candidate> few(2);
  expect_error([&] { backend_->head_select(x, *weight, {.k = 2}, few); }, "head_select",
               "room for 2");
  expect_error([&] { backend_->head_select(x, *weight, {.k = 33}, few); }, "head_select", "33");
  const std::vector<std::int32_t> tokens = {31, 32};
  expect_error([&] { backend_->embed(*weight, tokens, 1, x); }, "embed", "token 32");
  expect_error([&] { backend_->head_select(x, *weight, {.k = 1, .softcap = -1}, few); },
               "head_select", "softcap");
  Tensor outside = x;
  outside.offset = 1;
  expect_error([&] { backend_->upload(std::vector<float>(128), outside); }, "upload", "outside");
  backend_->wait(backend_->record());
}

TEST_P(Contract, InputAndOutputOfAProductMayNotOverlap) {
  Device device(*backend_);
  const Tensor x = device.room(2, 32);
  const auto square = zeros(*backend_, {.type = WeightType::f32, .rows = 32, .cols = 32});
  const Product product{.weight = square.get(), .out = x};
  expect_error([&] { backend_->matmul(x, {&product, 1}); }, "matmul", "overlap");
}

TEST_P(Contract, WeightsHaveWholeBlocks) {
  const auto never = [](std::size_t, std::size_t, std::span<std::byte>) { FAIL(); };
  expect_error(
      [&] { (void)backend_->load({.type = WeightType::q4_1, .rows = 2, .cols = 72}, never); },
      "load", "Q4_1");
}

TEST_P(Contract, RowsNeedAPageAndAscendingPositions) {
  const std::vector<std::int32_t> pages = {3};
  const std::vector<std::span<const std::int32_t>> tables = {pages, pages, {}};
  const auto make = [&](std::vector<Row> rows) { return backend_->make_rows(rows, tables); };
  EXPECT_EQ(make({{0, 30}, {1, 4}, {0, 31}})->count(), 3u);
  expect_error([&] { make({{2, 0}}); }, "make_rows", "page table is empty");
  expect_error([&] { make({{3, 0}}); }, "make_rows", "3 page tables");
  expect_error([&] { make({{0, 5}, {0, 5}}); }, "make_rows", "ascend");

  const auto cache = backend_->make_kv({.layers = 1, .kv_heads = 1, .head_dim = 8, .pages = 3});
  const auto rows = make({{0, 0}});
  Device device(*backend_);
  const Tensor kv = device.room(1, 8);
  expect_error([&] { backend_->kv_write(*cache, 0, kv, kv, *rows); }, "kv_write", "page 3");
  expect_error([&] { backend_->kv_write(*cache, 1, kv, kv, *rows); }, "kv_write", "layer 1");
}

TEST_P(Contract, PagesHoldWhatIsWrittenAndSeen) {
  const std::vector<std::int32_t> pages = {2, 0};  // 64 positions
  const std::vector<std::span<const std::int32_t>> tables = {{}, pages};
  const auto cache = backend_->make_kv({.layers = 1, .kv_heads = 1, .head_dim = 8, .pages = 3});
  Device device(*backend_);
  const auto write = [&](const std::vector<Row>& rows) {
    const auto places = backend_->make_rows(rows, tables);
    const Tensor kv = device.room(rows.size(), 8);
    backend_->kv_write(*cache, 0, kv, kv, *places);
    backend_->wait(backend_->record());
  };
  const auto attend = [&](const std::vector<Row>& rows, int window) {
    const auto places = backend_->make_rows(rows, tables);
    const Tensor q = device.room(rows.size(), 8), out = device.room(rows.size(), 8);
    backend_->attention(q, *cache, 0,
                        {.heads = 1, .kv_heads = 1, .head_dim = 8, .scale = 1, .window = window},
                        *places, out);
    backend_->wait(backend_->record());
  };
  write({{1, 63}, {1, 64}, {1, 95}});  // pages 1 and 2, 2 where 0 was
  expect_error([&] { write({{1, 63}, {1, 96}}); }, "kv_write", "2 pages, not 3");
  attend({{1, 63}}, 0);
  expect_error([&] { attend({{1, 64}}, 0); }, "attention", "positions 0 to 64");
  attend({{1, 64}, {1, 95}}, 33);  // from 32 on
  expect_error([&] { attend({{1, 64}, {1, 95}}, 34); }, "attention", "positions 31 to 95");
  expect_error([&] { attend({{1, 64}, {1, 96}}, 33); }, "attention", "2 pages, not 3");
  expect_error([&] { attend({{1, 64}}, -1); }, "attention", "window");
}

TEST_P(Contract, AMicroBatchMayBeEmpty) {
  Device device(*backend_);
  const Tensor x = device.room(0, 64), out = device.room(0, 32);
  const auto weight = zeros(*backend_, {.type = WeightType::q8_0, .rows = 32, .cols = 64});
  const Product product{.weight = weight.get(), .out = out};
  backend_->matmul(x, {&product, 1});
  backend_->head_select(x, *weight, {}, {});
  backend_->wait(backend_->record());
}

TEST(CpuBackend, RunsEveryInstructionSetItNames) {
  for (const auto isa : supported_isas())
    EXPECT_STREQ(make_cpu_backend(Precision::exact, {.isa = isa})->name(), "cpu");
  EXPECT_EQ(kv_bytes_per_page({.layers = 30, .kv_heads = 3, .head_dim = 64}),
            std::size_t{30} * 3 * 64 * 2 * kKvPageTokens * 4);
  // Codes of 48 values and 2 scales of 2 bytes.
  EXPECT_EQ(kv_bytes_per_page({.layers = 30, .kv_heads = 3, .head_dim = 40, .type = KvType::q8}),
            std::size_t{30} * 3 * (48 + 4) * 2 * kKvPageTokens);
}

}  // namespace
}  // namespace sluice::kernels
