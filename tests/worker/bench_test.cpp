// Oracle: the tiny models' shapes, counted by hand, and a report whose figures are round numbers.
// How long anything takes is never compared.
#include "worker/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "worker/bench_report.h"
#include "worker/error.h"
#include "worker/read_bandwidth.h"

namespace sluice::worker {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kTiny = std::string(SLUICE_TEST_DATA) + "/tiny/";
const std::string kLlama = kTiny + "llama-rope3-tied-bf16/model.gguf";

std::vector<BenchRow> rows_of(const BenchOptions& options) {
  return bench(options, [](const std::string&) {}).rows;
}

TEST(Bench, MeasuresEveryCombinationThatHasTokens) {
  // Prompts of 40 in passes of 16 rows: cut within and across sequences.
  const auto rows = rows_of({.model = kLlama,
                             .prompt_tokens = {0, 40},
                             .output_tokens = {3, 0},
                             .batch_sizes = {1, 3},
                             .repeats = 2,
                             .token_budget = 16});
  std::vector<std::array<int, 3>> shapes;
  for (const BenchRow& row : rows) {
    shapes.push_back({row.shape.pp, row.shape.tg, row.shape.batch});
    EXPECT_EQ(row.prefill_s.size(), 2u);
    EXPECT_EQ(row.decode_s.size(), 2u);
  }
  EXPECT_EQ(shapes, (std::vector<std::array<int, 3>>{
                        {0, 3, 1}, {0, 3, 3}, {40, 3, 1}, {40, 3, 3}, {40, 0, 1}, {40, 0, 3}}));
}

TEST(Bench, CountsTheOperationsOfTheWeights) {
  // 992,640 parameters, of which 11 gains of 128 multiply no matrix; a head of 1024 x 128.
  const double all = 992640 - 11 * 128, head = 1024 * 128;
  const auto row = rows_of({.model = kLlama,
                            .prompt_tokens = {5},
                            .output_tokens = {2},
                            .batch_sizes = {3},
                            .repeats = 1})[0];
  EXPECT_EQ(row.decode_ops, 2 * all * 2 * 3);
  EXPECT_EQ(row.prefill_ops, 2 * ((all - head) * 5 * 3 + head * 3)) << "the head sees last tokens";
  EXPECT_GT(row.decode_peak_s, 0);
  EXPECT_NEAR(row.prefill_peak_s / row.decode_peak_s, row.prefill_ops / row.decode_ops, 1e-9)
      << "all weights are of one type";
}

TEST(Bench, CountsTheBytesOfADecodeStep) {
  // Padding is the backend's business.
  const auto weights = [](const std::string& model) {
    return rows_of({.model = kTiny + model,
                    .prompt_tokens = {1},
                    .output_tokens = {1},
                    .repeats = 1})[0]
        .weight_bytes;
  };
  const double tied = 992640 * 2.0, untied = (283200 - 640 * 64) * 4.0;
  EXPECT_NEAR(weights("llama-rope3-tied-bf16"), tied, 0.1 * tied) << "the embedding is the head";
  EXPECT_NEAR(weights("llama-untied-f32"), untied, 0.1 * untied) << "without the embedding";

  const auto kv = [](const std::string& model, int pp, int tg, int batch) {
    return rows_of({.model = kTiny + model,
                    .prompt_tokens = {pp},
                    .output_tokens = {tg},
                    .batch_sizes = {batch},
                    .repeats = 1})[0]
        .kv_bytes;
  };
  const double one = kv("llama-rope3-tied-bf16", 0, 1, 1);
  EXPECT_GT(one, 0);
  EXPECT_EQ(kv("llama-rope3-tied-bf16", 40, 3, 2), 2 * 42 * one) << "41, 42 and 43 positions";
  // Six layers of seven see 16 positions at most.
  EXPECT_DOUBLE_EQ(kv("gemma3-f32", 40, 1, 1), (41 + 6 * 16) / 7.0 * kv("gemma3-f32", 0, 1, 1));
}

TEST(Bench, RefusesWhatItCannotMeasure) {
  const auto refusal = [](const BenchOptions& options) -> std::string {
    try {
      rows_of(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal({.model = kLlama, .prompt_tokens = {0}, .output_tokens = {0}}),
              HasSubstr("nothing to measure"));
  EXPECT_THAT(refusal({.model = kLlama, .prompt_tokens = {16, 2000}, .output_tokens = {49}}),
              HasSubstr("-p 2000 and -n 49 are more than the model's context of 2048"));
  EXPECT_THAT(refusal({.model = kLlama, .precision = "speedy"}), HasSubstr("precision = speedy"));
  EXPECT_THAT(refusal({.model = "/nowhere.gguf"}), HasSubstr("/nowhere.gguf"));
}

TEST(ReadBandwidth, IsMeasured) { EXPECT_GT(measure_read_bandwidth(), 0); }

// Two sequences of 100 prompt tokens and 10 steps, and one that only decodes.
BenchReport round_report() {
  return {.model = "tiny, \"small\".gguf",
          .architecture = "llama",
          .weight_bytes = 5'000'000,
          .parameters = 2'500'000,
          .backend = "cpu",
          .precision = "exact",
          .threads = 1,
          .read_bytes_per_s = 20e9,
          .rows = {{.shape = {.pp = 100, .tg = 10, .batch = 2},
                    .prefill_s = {1, 3},
                    .decode_s = {0.01, 0.01},
                    .weight_bytes = 4e6,
                    .kv_bytes = 1e6,
                    .prefill_ops = 8e9,
                    .decode_ops = 1e9,
                    .prefill_peak_s = 1.5,
                    .decode_peak_s = 0.002},
                   {.shape = {.pp = 0, .tg = 5, .batch = 1},
                    .prefill_s = {1e-9},
                    .decode_s = {0.5},
                    .weight_bytes = 4e6,
                    .kv_bytes = 0,
                    .prefill_ops = 0,
                    .decode_ops = 1e9}}};
}

std::string printed(const BenchReport& report, const std::string& format) {
  std::ostringstream out;
  print(report, format, out);
  return out.str();
}
std::string printed(const std::string& format) { return printed(round_report(), format); }

// The same on a GPU of round peaks, which counted 8e9 operations and 400 GB of prefill, and of
// decode 1e9 of both kinds and 500 MB.
BenchReport round_gpu_report() {
  BenchReport report = round_report();
  report.backend = "cuda";
  report.gpu = "Round 100";
  report.read_bytes_per_s = NAN;
  report.gpu_peaks = {
      .memory_bytes_per_s = 1e12, .tensor_flops_per_s = 8e11, .fp32_flops_per_s = 4e11};
  report.rows.pop_back();
  BenchRow& row = report.rows[0];
  row.prefill_peak_s = row.decode_peak_s = NAN;
  row.prefill_work = {.bytes = 400'000'000'000, .tensor_flops = 8'000'000'000};
  row.decode_work = {.bytes = 500'000'000, .tensor_flops = 800'000'000, .fp32_flops = 200'000'000};
  return report;
}

TEST(BenchReport, JsonHoldsSumsThatAddUp) {
  const json rows = json::parse(printed("json"));
  ASSERT_EQ(rows.size(), 2u);
  const json& row = rows[0];
  EXPECT_EQ(row["model"], "tiny, \"small\".gguf");
  EXPECT_EQ(row["test_pp"], "pp100");
  EXPECT_EQ(row["test_tg"], "tg10");
  EXPECT_EQ(row["n_kv"], 2 * (100 + 10));
  EXPECT_EQ(row["t_pp"], 2);
  EXPECT_DOUBLE_EQ(row["s_pp"], (200.0 / 1 + 200.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(row["s_pp_stddev"], (200.0 - 200.0 / 3) / std::sqrt(2));
  EXPECT_EQ(row["s_tg"], 2000);
  EXPECT_EQ(row["s_tg_stddev"], 0);
  EXPECT_DOUBLE_EQ(row["t"], row["t_pp"].get<double>() + row["t_tg"].get<double>());
  EXPECT_DOUBLE_EQ(row["s"], 220 / 2.01);
  EXPECT_DOUBLE_EQ(row["bytes_per_s"], 5e6 * 10 / 0.01);
  EXPECT_DOUBLE_EQ(row["read_share"], 0.25);
  EXPECT_DOUBLE_EQ(row["pp_ops_per_s"], 4e9);
  EXPECT_DOUBLE_EQ(row["tg_ops_per_s"], 1e11);
  EXPECT_DOUBLE_EQ(row["pp_peak_share"], 0.75);
  EXPECT_DOUBLE_EQ(row["tg_peak_share"], 0.2);
  EXPECT_EQ(row["samples_t_pp"], (json{1, 3}));

  EXPECT_TRUE(rows[1]["t_pp"].is_null());
  EXPECT_TRUE(rows[1]["s_pp"].is_null());
  EXPECT_EQ(rows[1]["t"], 0.5);
  EXPECT_EQ(rows[1]["samples_t_pp"], json::array());
}

TEST(BenchReport, JsonlAndCsvHoldTheSameRows) {
  const json rows = json::parse(printed("json"));
  std::istringstream lines(printed("jsonl"));
  for (const json& row : rows) {
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(json::parse(line), row);
  }
  std::istringstream csv(printed("csv"));
  std::string titles, first, second;
  std::getline(csv, titles);
  std::getline(csv, first);
  std::getline(csv, second);
  EXPECT_THAT(titles, testing::StartsWith("model,architecture,size,params,backend,"));
  EXPECT_THAT(first, testing::StartsWith("\"tiny, \"\"small\"\".gguf\",\"llama\",5000000,"));
  const auto commas = [](const std::string& line) { return std::ranges::count(line, ','); };
  EXPECT_EQ(commas(first), commas(titles) + 1) << "one is the model's";
  EXPECT_THAT(second, HasSubstr("\"pp0\",\"tg5\",0,5,1,5,,,,0.5,10.0,"));
}

TEST(BenchReport, TablesNameWhatLlamaCppNames) {
  EXPECT_EQ(printed("table"), R"(tiny, "small".gguf, precision exact; this core reads 20.0 GB/s

 PP  TG  B  N_KV  T_PP s  S_PP t/s  T_TG s  S_TG t/s    T s   S t/s
100  10  2   220   2.000    133.33   0.010   2000.00  2.010  109.45
  0   5  1     5       -         -   0.500     10.00  0.500   10.00

model    size  params  backend  threads   test  B             t/s  Gop/s  of peak  MB/step  GB/s  of read
llama  5.0 MB  2.50 M      cpu        1  pp100  2  133.33 ± 94.28    4.0     75 %        -     -        -
llama  5.0 MB  2.50 M      cpu        1   tg10  2  2000.00 ± 0.00  100.0     20 %      5.0  5.00     25 %
llama  5.0 MB  2.50 M      cpu        1    tg5  1    10.00 ± 0.00    2.0        -      4.0  0.04      0 %
)");
  EXPECT_THAT(printed("md"), HasSubstr(R"(
|  PP | TG |  B | N_KV | T_PP s | S_PP t/s | T_TG s | S_TG t/s |   T s |  S t/s |
| --: | -: | -: | ---: | -----: | -------: | -----: | -------: | ----: | -----: |
| 100 | 10 |  2 |  220 |  2.000 |   133.33 |  0.010 |  2000.00 | 2.010 | 109.45 |
)"));
}

TEST(BenchReport, OfAGpuTellsSharesOfItsPeaks) {
  const json row = json::parse(printed(round_gpu_report(), "json"))[0];
  EXPECT_EQ(row["gpu"], "Round 100");
  EXPECT_DOUBLE_EQ(row["pp_mbu"], 0.4 / 2);
  EXPECT_DOUBLE_EQ(row["pp_mfu"], 0.01 / 2);
  EXPECT_DOUBLE_EQ(row["tg_counted_bytes_per_s"], 5e8 / 0.01);
  EXPECT_DOUBLE_EQ(row["tg_mbu"], 0.05);
  EXPECT_DOUBLE_EQ(row["tg_mfu"], (0.001 + 0.0005) / 0.01);
  EXPECT_TRUE(row["read_share"].is_null());
  const std::string table = printed(round_gpu_report(), "table");
  EXPECT_THAT(table, HasSubstr("Round 100: 1000 GB/s, 1 Tflop/s of halves, 0.4 of fp32\n"));
  EXPECT_THAT(table, HasSubstr(R"(
model    size  params  backend   test  B             t/s  Gop/s   MFU  MB/step    GB/s   MBU
llama  5.0 MB  2.50 M     cuda  pp100  2  133.33 ± 94.28    4.0   0 %        -  200.00  20 %
llama  5.0 MB  2.50 M     cuda   tg10  2  2000.00 ± 0.00  100.0  15 %      5.0   50.00   5 %
)"));

  BenchReport unknown = round_gpu_report();
  unknown.gpu_peaks = {};
  EXPECT_TRUE(json::parse(printed(unknown, "json"))[0]["tg_mbu"].is_null());
  EXPECT_THAT(printed(unknown, "table"), HasSubstr("Round 100, whose peaks are not known here"));
}

TEST(GpuPeaks, AreKnownByTheNameThatCudaHas) {
  const auto t4 = kernels::peaks_of("Tesla T4");
  ASSERT_TRUE(t4);
  EXPECT_EQ(t4->memory_bytes_per_s, 320e9);
  EXPECT_EQ(t4->tensor_flops_per_s, 65e12);
  EXPECT_FALSE(kernels::peaks_of("Tesla"));
}

}  // namespace
}  // namespace sluice::worker
