// The timeline of a run as Chrome's trace event JSON ("Trace Event Format", Google, 2016), which
// ui.perfetto.dev and chrome://tracing open (docs/data-model.md, "Timeline"). In memory is
// one replica.
#pragma once

#include <optional>
#include <ostream>

#include "scheduler/cli/session.h"

namespace sluice::scheduler::cli {

// Of `run`, or of the job's newest. Throws before anything is written where there is no such run,
// or it has left no timeline; warns of ranks whose timelines are missing.
void write_trace(Session& session, const db::Job& job, std::optional<jobs::RunId> run,
                 std::ostream& out);

}  // namespace sluice::scheduler::cli
