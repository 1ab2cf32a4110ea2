#include "worker/pipeline/agreement.h"

#include <algorithm>
#include <exception>

#include "worker/pipeline/collective.h"
#include "worker/wire.h"

namespace sluice::worker::pipeline {
namespace {

// Goes first in every message here, and its form never changes: worlds of mixed versions notice.
// One more whenever any message between ranks changes its form.
constexpr std::int32_t kVersion = 6;

Bytes write(const Offer& offer) {
  ByteWriter out;
  out.put(kVersion);
  out.put_text(offer.host);
  out.put_text(offer.problem);
  out.put(offer.model_bytes);
  out.put_text(offer.fingerprint);
  out.put_text(offer.gpu.problem);
  out.put_text(offer.gpu.name);
  out.put_text(offer.gpu.id);
  out.put_text(offer.gpu.capability);
  return out.take();
}

Offer read_offer(const Bytes& bytes) {
  ByteReader in(bytes);
  if (const auto version = in.get<std::int32_t>(); version != kVersion) {
    Offer offer;
    offer.problem = "another version of sluice-worker runs here (messages of version " +
                    std::to_string(version) + ", not " + std::to_string(kVersion) +
                    "): install the same one on every node";
    return offer;
  }
  Offer offer;
  offer.host = in.get_text();
  offer.problem = in.get_text();
  offer.model_bytes = in.get<std::uint64_t>();
  offer.fingerprint = in.get_text();
  offer.gpu.problem = in.get_text();
  offer.gpu.name = in.get_text();
  offer.gpu.id = in.get_text();
  offer.gpu.capability = in.get_text();
  return offer;
}

void write(const model::StageRange& range, ByteWriter& out) {
  out.put(range.first);
  out.put(range.end);
  out.put(static_cast<std::uint8_t>(range.has_embedding));
  out.put(static_cast<std::uint8_t>(range.has_head));
  out.put(static_cast<std::uint8_t>(range.head_is_split));
  out.put(range.shard);
}

model::StageRange read_range(ByteReader& in) {
  const model::StageRange range{.first = in.get<int>(),
                                .end = in.get<int>(),
                                .has_embedding = in.get<std::uint8_t>() != 0,
                                .has_head = in.get<std::uint8_t>() != 0,
                                .head_is_split = in.get<std::uint8_t>() != 0,
                                .shard = in.get<model::HeadRows>()};
  if (range.first < 0 || range.end < range.first || range.shard.first < 0 ||
      range.shard.end < range.shard.first) {
    throw Error("rank 0's plan has a stage of impossible layers");
  }
  return range;
}

Bytes write(const Agreement& agreement) {
  const Plan& plan = agreement.plan;
  ByteWriter out;
  out.put(kVersion);
  out.put_text(agreement.problem);
  out.put(static_cast<std::uint32_t>(plan.ranges.size()));
  for (const model::StageRange& range : plan.ranges) write(range, out);
  out.put(static_cast<std::uint32_t>(plan.hosts.size()));
  for (const std::string& host : plan.hosts) out.put_text(host);
  out.put(plan.batch_size);
  out.put(plan.token_budget);
  out.put(plan.max_positions);
  out.put(static_cast<std::uint8_t>(plan.prefix_sharing));
  out.put_text(plan.backend);
  return out.take();
}

Agreement read_agreement(const Bytes& bytes) {
  ByteReader in(bytes);
  if (in.get<std::int32_t>() != kVersion) {
    return {.problem = "rank 0 runs another version of sluice-worker"};
  }
  Agreement agreement{.problem = in.get_text()};
  Plan& plan = agreement.plan;
  const auto stages = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < stages; ++i) plan.ranges.push_back(read_range(in));
  const auto hosts = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < hosts; ++i) plan.hosts.push_back(in.get_text());
  plan.batch_size = in.get<int>();
  plan.token_budget = in.get<int>();
  plan.max_positions = in.get<int>();
  plan.prefix_sharing = in.get<std::uint8_t>() != 0;
  plan.backend = in.get_text();
  if (agreement.problem.empty() && plan.ranges.empty()) throw Error("rank 0's plan has no stages");
  return agreement;
}

Bytes write(const Readiness& readiness) {
  ByteWriter out;
  out.put_text(readiness.problem);
  out.put(readiness.kv_room.full);
  out.put(readiness.kv_room.ring);
  return out.take();
}

Readiness read_readiness(const Bytes& bytes) {
  ByteReader in(bytes);
  Readiness readiness;
  readiness.problem = in.get_text();
  readiness.kv_room.full = in.get<int>();
  readiness.kv_room.ring = in.get<int>();
  return readiness;
}

std::string on_rank(int rank, const std::string& host, const std::string& problem) {
  return "rank " + std::to_string(rank) + (host.empty() ? "" : " on " + host) + ": " + problem;
}

// Rank 0's view of all: the first problem, or nothing.
std::string problem_of(const std::vector<Offer>& offers) {
  for (std::size_t rank = 0; rank < offers.size(); ++rank) {
    const Offer& offer = offers[rank];
    if (!offer.problem.empty()) {
      // What rank 0 sees needs no address: most often every rank sees the same.
      return rank == 0 ? offer.problem : on_rank(static_cast<int>(rank), offer.host, offer.problem);
    }
    if (offer.model_bytes != offers[0].model_bytes || offer.fingerprint != offers[0].fingerprint) {
      return on_rank(static_cast<int>(rank), offer.host,
                     "the model file differs from rank 0's (" + std::to_string(offer.model_bytes) +
                         " bytes there, " + std::to_string(offers[0].model_bytes) + " on " +
                         offers[0].host + ", or other contents): copy the same file to every node");
    }
  }
  return {};
}

Agreement decide_on(const std::vector<Offer>& offers, const Decide& decide) {
  Agreement agreement{.problem = problem_of(offers)};
  if (!agreement.problem.empty()) return agreement;
  try {
    agreement.plan = decide(offers);
    for (const Offer& offer : offers) agreement.plan.hosts.push_back(offer.host);
  } catch (const std::exception& error) {
    agreement.problem = error.what();
  }
  return agreement;
}

}  // namespace

Agreement agree(Link& world, const Offer& mine, const Decide& decide) {
  std::vector<Offer> offers;
  for (const Bytes& bytes : gather(world, write(mine))) offers.push_back(read_offer(bytes));
  Bytes decision;
  if (world.rank() == 0) decision = write(decide_on(offers, decide));
  return read_agreement(broadcast(world, std::move(decision)));
}

Readiness settle(Link& world, const std::vector<std::string>& hosts, const Readiness& mine) {
  Readiness settled{.problem = {}, .kv_room = mine.kv_room};
  const std::vector<Bytes> all = gather(world, write(mine));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const Readiness ready = read_readiness(all[rank]);
    settled.kv_room = smaller_of(settled.kv_room, ready.kv_room);
    if (settled.problem.empty() && !ready.problem.empty()) {
      settled.problem =
          on_rank(static_cast<int>(rank), rank < hosts.size() ? hosts[rank] : "", ready.problem);
    }
  }
  return read_readiness(broadcast(world, write(settled)));
}

}  // namespace sluice::worker::pipeline
