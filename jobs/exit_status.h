// Exit statuses of `sluice-worker`: the script, Slurm and the scheduler act on them.
#pragma once

namespace sluice::jobs {

inline constexpr int kAllAnswered = 0;
inline constexpr int kFailed = 1;
// The command line, the spec, the model or the shape: no other node would answer it either.
inline constexpr int kBadInput = 2;
inline constexpr int kSomeFailed = 4;     // of `generate` and `score`: some prompts failed
inline constexpr int kStoppedEarly = 75;  // wants to be resumed

}  // namespace sluice::jobs
