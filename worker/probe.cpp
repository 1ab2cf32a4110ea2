#include "worker/probe.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <span>

#include "jobs/file_system.h"
#include "jobs/files.h"
#include "kernels/cpu.h"
#include "worker/cores.h"
#include "worker/device.h"
#include "worker/machine.h"
#include "worker/pipeline/collective.h"

namespace sluice::worker {
namespace {

using Json = nlohmann::ordered_json;

Json look_at(const std::filesystem::path& path) {
  const auto identity = jobs::identity_of(path);
  const bool folder = identity.kind == "folder";
  const bool writable = folder ? jobs::is_writable_folder(path) : ::access(path.c_str(), W_OK) == 0;
  return {{"path", path.string()},
          {"kind", identity.kind},
          {"readable", ::access(path.c_str(), R_OK) == 0},
          {"writable", writable},
          {"file_system", jobs::file_system_of(folder ? path / "x" : path).name},
          {"inode", identity.inode},
          {"born_ns", std::max<std::int64_t>(identity.born_ns, 0)},
          {"bytes", identity.bytes}};
}

Json look_around(const ProbeOptions& options, int rank, const pipeline::NodePlace& place,
                 const pipeline::ClockOffset& clock) {
  const auto cores = allowed_cores();
  const GpuSearch search = find_gpu(options.cuda_module, place);
  Json paths = Json::array();
  for (const auto& path : options.paths) paths.push_back(look_at(path));
  const double world_s = jobs::steady_time_s() + clock.offset_s;
  return {{"rank", rank},
          {"version", SLUICE_VERSION},
          {"host", place.host},
          {"local_rank", place.local_rank},
          {"local_size", place.local_size},
          {"cores", core_list(cores)},
          {"core_count", cores.size()},
          {"cpu", cpu_model()},
          {"isa", kernels::to_string(kernels::supported_isas().back())},
          {"memory_bytes", available_memory_bytes()},
          {"gpu", search.device ? search.device->description() : ""},
          {"gpu_id", search.device ? search.device->gpu()->id : ""},
          {"no_gpu", search.problem},
          {"clock_s", jobs::unix_time_s() - world_s},
          {"round_trip_s", 2 * clock.error_s},
          {"paths", paths}};
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

pipeline::Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

int probe(const ProbeOptions& options, pipeline::Link& world, const pipeline::NodePlace& place,
          std::ostream& out, std::ostream& log) {
  if (world.rank() == 0) {
    log << "sluice-worker probe: a world of " << world.size() << ", rank 0 on " << place.host
        << std::endl;
  }
  pipeline::open_control(world);
  const auto clock = pipeline::align_clocks(world);
  const auto seen = pipeline::gather_large(
      world, bytes_of(dump(look_around(options, world.rank(), place, clock))));
  if (world.rank() > 0) return 0;
  std::string all;
  for (const auto& each : seen) {
    all += all.empty() ? "" : ",";
    all.append(reinterpret_cast<const char*>(each.data()), each.size());
  }
  out << "{\"sluice_probe\":1,\"ranks\":" << world.size() << ",\"seen\":[" << all << "]}"
      << std::endl;
  return 0;
}

}  // namespace sluice::worker
