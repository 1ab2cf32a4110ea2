// Random numbers that are a function of what they are for: nothing is carried from one to the next,
// so that no layout, restart or neighbour changes them. Philox4x32-10 (Salmon, Moraes, Dror and
// Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::worker::sampling {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;
PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key);

// The random numbers of one answer, told from all others by (seed, id of the prompt, sample).
class Stream {
 public:
  Stream() = default;
  Stream(std::uint64_t seed, std::string_view prompt_id, int sample);

  // What a number is for: a token of the vocabulary, or a block of them.
  enum class Use : std::uint32_t { token = 0, block = 1 };
  // From Gumbel's distribution, -ln(-ln u): adding one to each log-probability and taking the
  // largest sum draws from them (Gumbel 1954; Maddison, Tarlow and Minka 2014, "A* Sampling").
  // `position`: of the token to be drawn, in prompt and answer.
  double gumbel(std::int32_t position, Use use, std::int32_t index) const;

  bool operator==(const Stream&) const = default;

 private:
  PhiloxKey key_ = {};
  std::array<std::uint32_t, 2> answer_ = {};
};

}  // namespace sluice::worker::sampling
