#include "worker/pipeline/collective.h"

#include <limits>

#include "jobs/files.h"
#include "worker/error.h"
#include "worker/pipeline/patience.h"
#include "worker/pipeline/pieces.h"
#include "worker/wire.h"

namespace sluice::worker::pipeline {
namespace {

static_assert(kPieceBytes <= kControlBytesMax);

Bytes bytes_of(double time_s) {
  ByteWriter out;
  out.put(time_s);
  return out.take();
}

Bytes await_in_pieces(Link& world, int from) {
  Pieces pieces;
  while (true) {
    if (auto message = pieces.add(await(world, from, Channel::control))) return *std::move(message);
  }
}

void answer_pings(Link& world, int from) {
  for (int ping = 0; ping < kPings; ++ping) {
    await(world, from, Channel::control);
    world.send(from, Channel::control, bytes_of(jobs::steady_time_s()));
  }
}

ClockOffset ping_rank_0(Link& world) {
  ClockOffset best{.offset_s = 0, .error_s = std::numeric_limits<double>::infinity()};
  for (int ping = 0; ping < kPings; ++ping) {
    const double sent_s = jobs::steady_time_s();
    world.send(0, Channel::control, bytes_of(sent_s));
    const Bytes answer = await(world, 0, Channel::control);
    const double received_s = jobs::steady_time_s();
    const double error_s = (received_s - sent_s) / 2;
    if (error_s < best.error_s) {
      const auto there_s = ByteReader(answer).get<double>();
      best = {.offset_s = there_s - (sent_s + received_s) / 2, .error_s = error_s};
    }
  }
  return best;
}

}  // namespace

void open_control(Link& world) {
  if (world.rank() > 0) {
    world.expect(0, Channel::control, kControlBytesMax, 2);
    return;
  }
  for (int rank = 1; rank < world.size(); ++rank) {
    world.expect(rank, Channel::control, kControlBytesMax, 2);
  }
}

Bytes await(Link& world, int from, Channel channel) {
  for (Patience patience;; patience.pause()) {
    if (auto message = world.receive(from, channel)) return *std::move(message);
  }
}

std::vector<Bytes> gather(Link& world, Bytes mine) {
  if (world.rank() > 0) {
    world.send(0, Channel::control, std::move(mine));
    return {};
  }
  std::vector<Bytes> all{std::move(mine)};
  for (int rank = 1; rank < world.size(); ++rank) {
    all.push_back(await(world, rank, Channel::control));
  }
  return all;
}

std::vector<Bytes> gather_large(Link& world, const Bytes& mine) {
  if (world.rank() > 0) {
    send_in_pieces(world, 0, Channel::control, mine);
    return {};
  }
  std::vector<Bytes> all{mine};
  for (int rank = 1; rank < world.size(); ++rank) all.push_back(await_in_pieces(world, rank));
  return all;
}

Bytes broadcast(Link& world, Bytes from_rank_0) {
  if (world.rank() > 0) return await(world, 0, Channel::control);
  for (int rank = 1; rank < world.size(); ++rank) {
    world.send(rank, Channel::control, from_rank_0);
  }
  return from_rank_0;
}

ClockOffset align_clocks(Link& world) {
  if (world.rank() > 0) return ping_rank_0(world);
  for (int rank = 1; rank < world.size(); ++rank) answer_pings(world, rank);
  return {};
}

}  // namespace sluice::worker::pipeline
