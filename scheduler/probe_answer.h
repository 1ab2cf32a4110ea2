// What `sluice-worker probe` prints (worker/probe.h), as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/file_system.h"

namespace sluice::scheduler {

struct SeenPath {
  jobs::FileIdentity identity;
  bool readable = false, writable = false;
  std::string file_system;
};

struct SeenRank {
  int rank = 0;
  std::string version, host, cores, cpu, isa;
  int local_size = 1;  // ranks on its host
  int core_count = 0;
  std::int64_t memory_bytes = 0;
  std::string gpu, gpu_id;  // "Tesla T4, compute capability 7.5"; empty: none
  std::string no_gpu;       // why
  double clock_s = 0;       // the wall clock's when rank 0's steady clock shows 0
  double round_trip_s = 0;  // to rank 0 and back
  std::vector<SeenPath> paths;
};

// One world of ranks, by rank.
struct SeenWorld {
  int ranks = 0;
  std::vector<SeenRank> seen;
};

// A line each; other lines (a site's banner, a warning of MPI) are left out. Throws Error (failure)
// for a line of another form.
std::vector<SeenWorld> parse_probe(std::string_view out);

}  // namespace sluice::scheduler
