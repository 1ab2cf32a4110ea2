#include "worker/sampling/philox.h"

#include "kernels/portable_math.h"

namespace sluice::worker::sampling {
namespace {

constexpr int kRounds = 10;

std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

// FNV-1a, 64 bits (Fowler, Noll, Vo).
std::uint64_t hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high(b) ^ counter[1] ^ key[0], low(b), high(a) ^ counter[3] ^ key[1], low(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// The seed's own permutation of (prompt, sample) is key and half of the counter of the answer's.
Stream::Stream(std::uint64_t seed, std::string_view prompt_id, int sample) {
  const std::uint64_t id = hash(prompt_id);
  const auto mixed =
      philox({low(id), high(id), static_cast<std::uint32_t>(sample), 0}, {low(seed), high(seed)});
  key_ = {mixed[0], mixed[1]};
  answer_ = {mixed[2], mixed[3]};
}

double Stream::gumbel(std::int32_t position, Use use, std::int32_t index) const {
  // The top bit of an index is free.
  const std::uint32_t what = static_cast<std::uint32_t>(index) | static_cast<std::uint32_t>(use)
                                                                     << 31;
  const auto bits =
      philox({what, static_cast<std::uint32_t>(position), answer_[0], answer_[1]}, key_);
  const std::uint64_t random = std::uint64_t{bits[0]} << 32 | bits[1];
  // 52 bits and a half: neither 0 nor, rounded, 1.
  const double uniform = (static_cast<double>(random >> 12) + 0.5) * 0x1p-52;
  return -kernels::portable_log(-kernels::portable_log(uniform));
}

}  // namespace sluice::worker::sampling
