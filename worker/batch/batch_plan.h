// What the leader tells every stage about one micro-batch: which sequences enter, what they take
// from others, and which positions of which sequences are computed. Values, and their form on the
// wire.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/model/kv_pages.h"
#include "worker/sampling/draw.h"
#include "worker/wire.h"

namespace sluice::worker::batch {

// A sequence takes a slot (and these KV pages) until another one takes the same slot.
struct Admission {
  int slot = 0;
  model::SequencePages pages;

  bool operator==(const Admission&) const = default;
};

// Pages of the KV cache that are copied, all of them at once: from[i] into to[i].
struct PageCopies {
  std::vector<std::int32_t> full_from, full_to, ring_from, ring_to;

  bool operator==(const PageCopies&) const = default;
};

// Consecutive positions of one sequence.
struct Segment {
  std::int32_t slot = 0;
  std::int32_t first_position = 0;
  std::int32_t tokens = 0;
  std::int32_t wanted = 0;  // of the last so many of them, the token that follows
  bool decode = false;      // continues an answer; else a piece of a prompt

  bool operator==(const Segment&) const = default;
};

struct BatchPlan {
  std::uint64_t step = 0;
  std::vector<Admission> admissions;
  std::vector<PageCopies> copies = {};  // one after the other, before anything is computed
  std::vector<Segment> segments;        // of different slots; rows lie in this order
  bool has_draws = false;               // how its tokens are drawn comes beside it

  int rows() const;         // tokens computed
  int decode_rows() const;  // of those, the ones that continue an answer
  int tokens_wanted() const;
  bool operator==(const BatchPlan&) const = default;
};

// A plan and what only the first stage needs, or the head.
struct MicroBatch {
  BatchPlan plan;
  std::vector<std::int32_t> tokens;  // (plan.rows())
  // How the wanted tokens are drawn, in their order; empty: each is the likeliest.
  std::vector<sampling::Draw> draws = {};
};

// What a stage has room for; a plan that asks for more is refused.
struct PlanLimits {
  int rows = 0;
  model::KvRoom pages;
  // A sequence owns at least one page.
  int slots() const { return std::max(pages.full, pages.ring); }
};

void write(const BatchPlan& plan, ByteWriter& out);
BatchPlan read_plan(ByteReader& in, const PlanLimits& limits);  // throws worker::Error

}  // namespace sluice::worker::batch
