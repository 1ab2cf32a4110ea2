#include "worker/batch/batch_plan.h"

#include <algorithm>
#include <array>
#include <string>

namespace sluice::worker::batch {
namespace {

void require(bool holds, std::uint64_t step, const char* what) {
  if (!holds) throw Error("the plan of step " + std::to_string(step) + " " + what);
}

template <class Copies>
auto lists_of(Copies& copies) {
  return std::array{&copies.full_from, &copies.full_to, &copies.ring_from, &copies.ring_to};
}

}  // namespace

int BatchPlan::rows() const {
  int rows = 0;
  for (const Segment& segment : segments) rows += segment.tokens;
  return rows;
}

int BatchPlan::decode_rows() const {
  int rows = 0;
  for (const Segment& segment : segments) rows += segment.decode ? segment.tokens : 0;
  return rows;
}

int BatchPlan::tokens_wanted() const {
  int wanted = 0;
  for (const Segment& segment : segments) wanted += segment.wanted;
  return wanted;
}

void write(const BatchPlan& plan, ByteWriter& out) {
  out.put(plan.step);
  out.put(static_cast<std::uint8_t>(plan.has_draws));
  out.put(static_cast<std::uint32_t>(plan.admissions.size()));
  for (const Admission& admission : plan.admissions) {
    out.put(static_cast<std::int32_t>(admission.slot));
    out.put_all(admission.pages.full);
    out.put_all(admission.pages.ring);
  }
  out.put(static_cast<std::uint32_t>(plan.copies.size()));
  for (const PageCopies& copies : plan.copies) {
    for (const auto* pages : lists_of(copies)) out.put_all(*pages);
  }
  out.put(static_cast<std::uint32_t>(plan.segments.size()));
  for (const Segment& segment : plan.segments) {
    out.put(segment.slot);
    out.put(segment.first_position);
    out.put(segment.tokens);
    out.put(segment.wanted);
    out.put(static_cast<std::uint8_t>(segment.decode));
  }
}

BatchPlan read_plan(ByteReader& in, const PlanLimits& limits) {
  BatchPlan plan;
  plan.step = in.get<std::uint64_t>();
  plan.has_draws = in.get<std::uint8_t>() != 0;
  const auto admissions = in.get<std::uint32_t>();
  const auto is_slot = [&](int slot) { return 0 <= slot && slot < limits.slots(); };
  const auto are_pages = [](const std::vector<std::int32_t>& pages, int end) {
    return std::ranges::all_of(pages, [end](int page) { return 0 <= page && page < end; });
  };
  for (std::uint32_t i = 0; i < admissions; ++i) {
    Admission admission{.slot = in.get<std::int32_t>(), .pages = {}};
    admission.pages.full = in.get_all<std::int32_t>();
    admission.pages.ring = in.get_all<std::int32_t>();
    require(is_slot(admission.slot), plan.step, "admits to a slot that does not exist");
    require(are_pages(admission.pages.full, limits.pages.full) &&
                are_pages(admission.pages.ring, limits.pages.ring),
            plan.step, "gives away a KV page that does not exist");
    plan.admissions.push_back(std::move(admission));
  }
  for (auto left = in.get<std::uint32_t>(); left > 0; --left) {
    PageCopies copies;
    for (auto* pages : lists_of(copies)) *pages = in.get_all<std::int32_t>();
    require(are_pages(copies.full_from, limits.pages.full) &&
                are_pages(copies.full_to, limits.pages.full) &&
                are_pages(copies.ring_from, limits.pages.ring) &&
                are_pages(copies.ring_to, limits.pages.ring),
            plan.step, "copies a KV page that does not exist");
    require(copies.full_from.size() == copies.full_to.size() &&
                copies.ring_from.size() == copies.ring_to.size(),
            plan.step, "copies KV pages to nowhere");
    plan.copies.push_back(std::move(copies));
  }
  const auto segments = in.get<std::uint32_t>();
  std::int64_t rows = 0;
  for (std::uint32_t i = 0; i < segments; ++i) {
    const Segment segment{.slot = in.get<std::int32_t>(),
                          .first_position = in.get<std::int32_t>(),
                          .tokens = in.get<std::int32_t>(),
                          .wanted = in.get<std::int32_t>(),
                          .decode = in.get<std::uint8_t>() != 0};
    plan.segments.push_back(segment);
    require(is_slot(segment.slot), plan.step, "names a slot that does not exist");
    require(segment.tokens > 0 && segment.first_position >= 0, plan.step, "has an empty segment");
    require(0 <= segment.wanted && segment.wanted <= segment.tokens, plan.step,
            "wants more tokens than it has rows");
    rows += segment.tokens;
    require(rows <= limits.rows, plan.step, "has more rows than the token budget");
  }
  return plan;
}

}  // namespace sluice::worker::batch
