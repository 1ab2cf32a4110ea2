#include "worker/batch/prompt_ranges.h"

#include "worker/error.h"

namespace sluice::worker::batch {

void write(const PromptRange& range, ByteWriter& out) {
  out.put(range.first);
  out.put(range.offset);
  out.put_all(range.wanted);
}

PromptRange read_range(ByteReader& in) {
  PromptRange range{.first = in.get<std::int64_t>(),
                    .offset = in.get<std::int64_t>(),
                    .wanted = in.get_all<std::uint8_t>()};
  const bool is_sound = range.first >= 0 && range.offset >= 0 &&
                        range.wanted.size() <= kRangeLinesMax &&
                        std::ranges::all_of(range.wanted, [](auto word) { return word <= 1; });
  if (!is_sound) throw Error("rank 0 deals a range of prompts that cannot be");
  return range;
}

std::optional<PromptRange> RangeDealer::deal() {
  while (next_ < setup_.prompts && setup_.is_done(next_)) ++next_;
  if (next_ == setup_.prompts) return std::nullopt;
  if (round_left_ == 0) {
    round_left_ = setup_.replicas;
    const std::int64_t shares = setup_.replicas == 1 ? 1 : 2 * std::int64_t{setup_.replicas};
    size_ = std::clamp((left_ + shares - 1) / shares, std::int64_t{1}, kRangePromptsMax);
  }
  --round_left_;
  PromptRange range;
  range.first = next_ - next_ % setup_.stride;
  range.offset = setup_.offset(range.first);
  range.wanted.resize(static_cast<std::size_t>(next_ - range.first));
  for (std::int64_t taken = 0;
       taken < size_ && next_ < setup_.prompts && range.wanted.size() < kRangeLinesMax; ++next_) {
    const bool wanted = !setup_.is_done(next_);
    range.wanted.push_back(wanted ? 1 : 0);
    taken += wanted ? 1 : 0;
    left_ -= wanted ? 1 : 0;
  }
  return range;
}

}  // namespace sluice::worker::batch
