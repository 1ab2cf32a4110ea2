// How long a processor takes for a model's layers and head, measured once and kept: what
// predictions are made of (predict.h). Few layers and some rows of the head are loaded, so that a
// login node can measure a model that it could not hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker/measuring.h"
#include "worker/model/model.h"
#include "worker/pipeline/partition.h"
#include "worker/stage_times.h"

namespace sluice::worker {

struct Calibration {
  std::string cpu;  // machine.h
  std::string precision;
  int threads = 1, batch_size = 8, token_budget = 128;
  int beside = 1;  // ranks that computed at once: of one machine they share memory and caches

  // Of stages of so many layers, ascending: the fewer weights, the nearer they lie to the core.
  struct Layers {
    int count = 0;
    StageTimes times;  // no head
  };
  std::vector<Layers> layers;
  int head_rows = 0;             // measured
  std::map<int, double> head_s;  // for these, by tokens wanted
  double load_bytes_per_s = 0;   // reading and repacking, a warm file

  // Layers and rows of the head of any stage, between and beyond those measured in proportion.
  StageTimes stage(const model::StageRange& range, int vocab) const;
};

// Parts of a model that tell of the whole: as many layers as take so many bytes, at least one; and
// one layer with rows of a split head that are more than the nearest caches hold.
int layers_of(const model::Model& model, std::uint64_t bytes);
model::StageRange head_sample(const model::Model& model);

// Throws worker::Error, std::bad_alloc.
Calibration measure_calibration(const model::Model& model, const MeasuringSetup& setup, int beside);

// What counted costs are to be multiplied by.
pipeline::CostScales cost_scales(const Calibration& calibration, const model::Model& model,
                                 const pipeline::TokenMix& mix);

std::string to_json(const Calibration& calibration);
Calibration parse_calibration(std::string_view json);  // throws worker::Error

}  // namespace sluice::worker
