// SIGUSR1 and SIGTERM ask the run to stop early: the batch system gives notice, or the user
// cancels.
#pragma once

namespace sluice::worker {

void install_stop_signals();  // once, before MPI starts
bool stop_signal_seen();

}  // namespace sluice::worker
