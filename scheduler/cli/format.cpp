#include "scheduler/cli/format.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace sluice::scheduler::cli {
namespace {

template <typename... Args>
std::string print(const char* pattern, Args... args) {
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), pattern, args...);
  return text.data();
}

std::string group_thousands(std::string digits) {
  const auto dot = std::min(digits.find('.'), digits.size());
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(dot) - 3; at > static_cast<std::ptrdiff_t>(first);
       at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

}  // namespace

std::string with_commas(std::int64_t count) { return group_thousands(std::to_string(count)); }

std::string plural(std::int64_t count, const std::string& thing) {
  return with_commas(count) + " " + thing + (count == 1 ? "" : "s");
}

std::string fixed(double value, int digits) {
  const std::string text = print("%.*f", digits, value);
  const bool is_zero = text.find_first_not_of("-0.") == std::string::npos;  // never -0.0
  return group_thousands(is_zero && text[0] == '-' ? text.substr(1) : text);
}

std::string clock_span(double seconds) {
  const long total = std::lround(std::max(seconds, 0.0));
  const long hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  return hours > 0 ? print("%ld:%02ld:%02ld", hours, minutes, rest)
                   : print("%ld:%02ld", minutes, rest);
}

std::string spoken_span(double seconds) {
  const long total = std::lround(std::max(seconds, 0.0));
  const long hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  if (hours > 0) return print("%ld h %02ld min", hours, minutes);
  return minutes > 0 ? print("%ld min %02ld s", minutes, rest) : print("%ld s", rest);
}

std::string short_span(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  return seconds < 1 ? print("%.1f ms", seconds * 1e3) : print("%.2f s", seconds);
}

std::string hours_text(double hours) { return fixed(hours, hours < 0.01 ? 5 : hours < 10 ? 3 : 1); }

std::string bytes_size(std::int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 10'000'000'000) return print("%.0f GB", value / 1e9);
  if (bytes >= 1'000'000'000) return print("%.1f GB", value / 1e9);
  if (bytes >= 1'000'000) return print("%.0f MB", value / 1e6);
  return print("%.0f kB", std::ceil(value / 1e3));
}

std::string local_date_time(double unix_s) {
  const auto at = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  ::localtime_r(&at, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::string local_time(double unix_s, double now_unix_s) {
  const auto at = static_cast<std::time_t>(unix_s), now = static_cast<std::time_t>(now_unix_s);
  std::tm at_parts{}, now_parts{};
  ::localtime_r(&at, &at_parts);
  ::localtime_r(&now, &now_parts);
  const bool today = at_parts.tm_year == now_parts.tm_year && at_parts.tm_yday == now_parts.tm_yday;
  if (!today) return local_date_time(unix_s);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%H:%M:%S", &at_parts);
  return text.data();
}

std::string bar(double share, int width) {
  const int full = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
  std::string text;
  for (int i = 0; i < width; ++i) text += i < full ? "█" : "░";
  return text;
}

std::string visible(std::string_view utf8) {
  std::string out;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    const auto next = static_cast<unsigned char>(i + 1 < utf8.size() ? utf8[i + 1] : 0);
    const bool is_c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    if (is_c1) ++i;
    out += is_c1 || (byte < 0x20 && byte != '\n') || byte == 0x7F ? '?' : utf8[i];
  }
  return out;
}

std::size_t display_width(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Terminal terminal_of(int fd) {
  if (::isatty(fd) == 0) return {};
  winsize size{};
  const bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return {.is_terminal = true, .width = known ? size.ws_col : 80};
}

}  // namespace sluice::scheduler::cli
