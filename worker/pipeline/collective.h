// What all ranks of a world do together, over the control channel: gather at rank 0, broadcast from
// it, and the alignment of their clocks. Every rank calls the same functions in the same order.
#pragma once

#include <vector>

#include "worker/pipeline/link.h"

namespace sluice::worker::pipeline {

inline constexpr std::size_t kControlBytesMax = 64 * 1024;

// Once, before the first of the others.
void open_control(Link& world);

// The next message of `from`; waits for it.
Bytes await(Link& world, int from, Channel channel);

// Rank 0: everyone's message, by rank. Others: nothing.
std::vector<Bytes> gather(Link& world, Bytes mine);
// The same for messages of any size, which travel in pieces.
std::vector<Bytes> gather_large(Link& world, const Bytes& mine);
// Everyone: rank 0's message.
Bytes broadcast(Link& world, Bytes from_rank_0);

// World time (rank 0's steady clock) = this rank's steady clock + offset, give or take the error.
struct ClockOffset {
  double offset_s = 0;
  double error_s = 0;
};
// Ping-pong with rank 0, one rank after the other; the quickest of kPings round trips decides, and
// half of it bounds the error (Cristian 1989, "Probabilistic clock synchronization").
inline constexpr int kPings = 50;
ClockOffset align_clocks(Link& world);

}  // namespace sluice::worker::pipeline
