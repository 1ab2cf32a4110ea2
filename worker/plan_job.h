// `sluice-worker plan`: what a job that lies in its directory would take in some layouts, for
// `sluice plan` and `sluice submit`. No MPI, no weights but a calibration's sample.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace sluice::worker {

struct PlanJobOptions {
  std::filesystem::path job_dir;      // spec.json and prompts.jsonl
  std::filesystem::path calibration;  // a file with one; empty: measure it
  std::vector<std::string> shapes;    // nodes x ranks per node x replicas x stages: "2x1x1x2"
  int beside = 1;                     // ranks of one machine at once, when it is measured
  double answer_share = 1;            // of what answers may be long
  std::uint64_t memory_bytes = 0;     // of a rank; 0: not known
};

// One JSON value: {"ok": true, "calibration": {...}, "cost_scales": {...}, "prompts",
// "prompt_tokens", "output_tokens", "layouts": [{"nodes", "ranks_per_node", "replicas", "stages",
// "partition", "wall_clock_s", "load_s", "weight_bytes", "kv_bytes" (of the largest rank),
// "busy_shares" (by stage)} or {..., "problem"}]}; 0. Or {"ok": false, "error"}; 2.
int plan_job(const PlanJobOptions& options, std::ostream& out);

}  // namespace sluice::worker
