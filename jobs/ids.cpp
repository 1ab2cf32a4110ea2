#include "jobs/ids.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "jobs/error.h"

namespace sluice::jobs {
namespace {

constexpr std::size_t kNameLengthMax = 40;
constexpr std::string_view kDigits = "0123456789abcdef";

std::string random_hex(std::size_t bytes) {
  std::array<unsigned char, 16> random;
  if (::getentropy(random.data(), bytes) != 0) {
    throw Error("cannot draw random bytes: " + std::generic_category().message(errno));
  }
  std::string hex;
  for (std::size_t i = 0; i < bytes; ++i) {
    hex += kDigits[random[i] >> 4];
    hex += kDigits[random[i] & 15];
  }
  return hex;
}

bool is_plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

std::string to_string(RunId run) {
  return std::to_string(run.attempt) + "." + std::to_string(run.restart);
}

std::optional<RunId> parse_run_id(std::string_view text) {
  RunId run;
  const char* const end = text.data() + text.size();
  const auto attempt = std::from_chars(text.data(), end, run.attempt);
  if (attempt.ec != std::errc() || attempt.ptr == end || *attempt.ptr != '.') return std::nullopt;
  if (std::from_chars(attempt.ptr + 1, end, run.restart).ec != std::errc()) return std::nullopt;
  // Comparing with the one way to write it refuses signs, leading zeros and whatever follows.
  if (run.attempt < 1 || run.restart < 0 || to_string(run) != text) return std::nullopt;
  return run;
}

std::string new_uid() { return random_hex(4); }
std::string new_token() { return random_hex(8); }

std::string cluster_job_name(std::string_view name, std::string_view token) {
  std::string plain(name.substr(0, kNameLengthMax));
  for (char& c : plain) {
    if (!is_plain(c)) c = '_';
  }
  if (plain.empty()) plain = "sluice";
  return plain + "-" + std::string(token);
}

}  // namespace sluice::jobs
