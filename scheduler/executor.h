// Where jobs run: slurm_executor and local_executor. Nothing above knows which.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "db/store.h"
#include "jobs/layout.h"
#include "jobs/spec.h"
#include "slurm/client.h"

namespace sluice::scheduler {

// An attempt that the cluster is asked about, with what identifies it.
struct Watch {
  db::Attempt attempt;
  jobs::Layout layout;
};

// What the cluster says of one attempt.
struct Sighting {
  enum class Kind {
    seen,     // `status` is set
    absent,   // asked everywhere, and it is nowhere
    unknown,  // it could not be asked (`why`), or too early to tell
  };
  Kind kind = Kind::unknown;
  slurm::JobStatus status;
  std::string why;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Why such a job could never run there, with the fix; empty when nothing speaks against it. Asked
  // before the job is queued.
  virtual std::optional<std::string> objection(const jobs::JobSpec&) { return std::nullopt; }
  // What it would run there with too little of; empty: nothing of that is known.
  virtual std::optional<std::string> shortage(const jobs::JobSpec&) { return std::nullopt; }

  // Starts the script of an attempt whose intent is already in the database. The token makes a
  // second call with the same attempt harmless: the later twin finds the claim and leaves.
  virtual slurm::SubmitAnswer submit(const jobs::JobSpec& spec, const Watch& attempt) = 0;

  // One look for all attempts; the same order as `watches`.
  virtual std::vector<Sighting> observe(const std::vector<Watch>& watches) = 0;

  // Asks the attempt to end. Empty: asked; else why not.
  virtual std::optional<std::string> cancel(const Watch& attempt) = 0;
};

}  // namespace sluice::scheduler
