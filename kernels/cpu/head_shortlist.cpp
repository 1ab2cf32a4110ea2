#include "kernels/cpu/head_shortlist.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/portable_math.h"

namespace sluice::kernels::cpu {
namespace {

bool comes_first(const Listed& a, const Listed& b) {
  return ranks_before({a.id, a.logit}, {b.id, b.logit});
}

}  // namespace

// One list.
class Shortlists::Gathering {
 public:
  Gathering(const Operations& operations, float softcap, const ShortlistSpec& spec, Shortlist& out)
      : operations_(operations),
        softcap_(softcap),
        spec_(spec),
        out_(out),
        next_change_(spec.changes.begin()) {
    out_ = {};
  }

  void take(const LogitBlock& block) {
    const float* const raw = capped(block);
    const float* const logits = changed(block, spec_.capped ? raw : block.logits);
    tell_of_named(block, logits, raw);
    if (spec_.sums) out_.log_sums.push_back(log_sum(operations_.exp_sum(logits, block.count)));
    if (!operations_.any_above(logits, block.count, limit_)) return;
    for (std::size_t i = 0; i < block.count; ++i) {
      if (logits[i] <= limit_) continue;
      out_.best.push_back(
          {.id = static_cast<std::int32_t>(block.first_id + i), .logit = logits[i], .raw = raw[i]});
      largest_ = std::max(largest_, logits[i]);
    }
    if (out_.best.size() >= room_) prune();
  }

  void finish() {
    prune();
    std::ranges::sort(out_.best, comes_first);
  }

 private:
  // What is under the limit can be in no list any more.
  void prune() {
    auto& best = out_.best;
    if (best.size() > spec_.k) {
      const auto kth = best.begin() + static_cast<std::ptrdiff_t>(spec_.k) - 1;
      std::ranges::nth_element(best, kth, comes_first);
      best.erase(kth + 1, best.end());
      if (!std::isnan(best.back().logit))
        limit_ = best.back().logit;  // an equal one comes too late
    }
    const float below = largest_ - spec_.within;
    std::erase_if(best, [&](const Listed& listed) { return listed.logit < below; });
    limit_ = std::max(limit_, std::nextafter(below, -std::numeric_limits<float>::infinity()));
    room_ = std::max(kRoomMin, 2 * best.size());
  }

  void tell_of_named(const LogitBlock& block, const float* logits, const float* raw) {
    const auto first = static_cast<std::int64_t>(block.first_id);
    if (spec_.named < first || spec_.named >= first + static_cast<std::int64_t>(block.count))
      return;
    const auto i = static_cast<std::size_t>(spec_.named - first);
    out_.named = {.id = spec_.named, .logit = logits[i], .raw = raw[i]};
  }

  const float* capped(const LogitBlock& block) {
    if (softcap_ == 0) return block.logits;
    std::copy_n(block.logits, block.count, capped_.begin());
    operations_.soft_cap({.x = capped_.data(), .count = block.count, .cap = softcap_});
    return capped_.data();
  }

  const float* changed(const LogitBlock& block, const float* logits) {
    const auto end = static_cast<std::int64_t>(block.first_id + block.count);
    const bool none = next_change_ == spec_.changes.end() || next_change_->id >= end;
    if (none && spec_.scale == 1) return logits;
    std::copy_n(logits, block.count, changed_.begin());
    for (; next_change_ != spec_.changes.end() && next_change_->id < end; ++next_change_) {
      float& logit = changed_[static_cast<std::size_t>(next_change_->id) - block.first_id];
      logit = kernels::changed(logit, *next_change_);
    }
    for (std::size_t i = 0; i < block.count; ++i) changed_[i] *= spec_.scale;
    return changed_.data();
  }

  static double log_sum(const cpu::ExpSum& block) {
    return std::isnan(block.sum) ? std::numeric_limits<double>::quiet_NaN()
                                 : block.largest + portable_log(block.sum);
  }

  static constexpr std::size_t kRoomMin = 512;

  const Operations& operations_;
  const float softcap_;
  const ShortlistSpec& spec_;
  Shortlist& out_;
  std::span<const LogitChange>::iterator next_change_;
  std::array<float, kHeadBlockRows> capped_, changed_;
  std::size_t room_ = kRoomMin;
  // Logits up to here, and what is no number, are passed over.
  float limit_ = -std::numeric_limits<float>::infinity();
  float largest_ = -std::numeric_limits<float>::infinity();
};

Shortlists::Shortlists(const Operations& operations, float softcap, std::size_t rows,
                       std::span<const ShortlistSpec> specs, std::span<Shortlist> out)
    : first_(rows + 1) {
  gatherings_.reserve(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    gatherings_.emplace_back(operations, softcap, specs[i], out[i]);
    ++first_[specs[i].row + 1];
  }
  for (std::size_t r = 0; r < rows; ++r) first_[r + 1] += first_[r];
}

Shortlists::~Shortlists() = default;

void Shortlists::take(const LogitBlock& block) {
  for (std::size_t i = first_[block.row]; i < first_[block.row + 1]; ++i) {
    gatherings_[i].take(block);
  }
}

void Shortlists::finish() {
  for (Gathering& gathering : gatherings_) gathering.finish();
}

void head_shortlist(const HeadInput& input, float softcap, std::span<const ShortlistSpec> specs,
                    std::span<Shortlist> out) {
  Shortlists lists(input.arithmetic.operations, softcap, input.rows, specs, out);
  for_each_logit_block(input, [&](const LogitBlock& block) { lists.take(block); });
  lists.finish();
}

}  // namespace sluice::kernels::cpu
