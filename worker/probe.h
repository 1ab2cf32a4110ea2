// What the ranks of a world see of their machines, told by rank 0: `sluice-worker probe`, which
// `sluice doctor --nodes N` launches as a job would launch its ranks. Reads no model and makes no
// file. Every rank calls probe() with the same options.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "worker/pipeline/link.h"
#include "worker/pipeline/node_place.h"

namespace sluice::worker {

struct ProbeOptions {
  std::vector<std::filesystem::path> paths;  // that every rank should see
  std::filesystem::path cuda_module = {};    // empty: the default (device.h)
};

// One line of JSON on rank 0: {"sluice_probe": 1, "ranks", "seen": [of each rank, by rank:
// {"rank", "version", "host", "local_rank", "local_size", "cores", "core_count", "cpu", "isa",
// "memory_bytes", "gpu": its name and compute capability, "gpu_id", "no_gpu": why there is none,
// "clock_s": the wall clock's when rank 0's steady clock shows 0, "round_trip_s":
// the quickest to rank 0 and back, "paths": [{"path", "kind": "folder"|"file"|"none", "readable",
// "writable", "file_system", "inode", "born_ns", "bytes"}]}]}. A line before, on `log`, tells that
// the world has formed: messages may get stuck after it.
int probe(const ProbeOptions& options, pipeline::Link& world, const pipeline::NodePlace& place,
          std::ostream& out, std::ostream& log);

}  // namespace sluice::worker
