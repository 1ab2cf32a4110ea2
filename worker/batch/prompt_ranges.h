// How a job's prompts are dealt to its replicas: ranges of consecutive lines, smaller and smaller,
// so that the replicas end together however long the answers turn out to be. Factoring (Hummel,
// Schonberg, Flynn 1992): a round gives each replica an equal range, all rounds but the last half
// of what is left. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "worker/wire.h"

namespace sluice::worker::batch {

inline constexpr std::int64_t kRangePromptsMax = 4096;
// Lines of one range: beside its prompts it may span lines that are no longer wanted.
inline constexpr std::size_t kRangeLinesMax = 2 * kRangePromptsMax;

// Consecutive lines of prompts.jsonl, some of which are to be answered.
struct PromptRange {
  std::int64_t first = 0;            // index of the first line
  std::int64_t offset = 0;           // and where it begins
  std::vector<std::uint8_t> wanted;  // by line: 1, or 0: answered already, or in another range

  std::int64_t prompts() const { return std::ranges::count(wanted, 1); }
  bool operator==(const PromptRange&) const = default;
};

void write(const PromptRange& range, ByteWriter& out);
PromptRange read_range(ByteReader& in);  // throws worker::Error
inline constexpr std::size_t kRangeBytesMax = 64 + kRangeLinesMax;

class RangeDealer {
 public:
  struct Setup {
    std::int64_t prompts = 0;  // lines
    std::int64_t to_do = 0;    // of those
    int replicas = 1;
    std::function<bool(std::int64_t index)> is_done;
    // A range begins at such a line.
    std::int64_t stride = 1;
    std::function<std::int64_t(std::int64_t index)> offset;
  };
  explicit RangeDealer(Setup setup) : setup_(std::move(setup)), left_(setup_.to_do) {}

  std::optional<PromptRange> deal();  // nothing: none is left

 private:
  Setup setup_;
  std::int64_t next_ = 0;  // line
  std::int64_t left_;      // prompts to do that were not dealt
  std::int64_t size_ = 0;  // of the ranges of this round
  int round_left_ = 0;     // ranges
};

}  // namespace sluice::worker::batch
