// Numbers and times as people read them. Pure, except what asks the terminal or the time zone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::scheduler::cli {

std::string with_commas(std::int64_t count);                       // 1,234,567
std::string plural(std::int64_t count, const std::string& thing);  // 1 prompt, 2 prompts
std::string fixed(double value, int digits);                       // 1,498.0
std::string clock_span(double seconds);                            // 1:52, 11:20, 1:02:03
std::string spoken_span(double seconds);                           // 12 s, 1 min 04 s, 2 h 05 min
std::string short_span(double seconds);                    // 5.1 ms, 1.90 s; -: not measured
std::string hours_text(double hours);                      // 0.00042, 0.123, 35.1
std::string bytes_size(std::int64_t bytes);                // 96 MB
std::string local_time(double unix_s, double now_unix_s);  // 14:20:05; with the date when not today
std::string local_date_time(double unix_s);                // 2026-01-31 14:20:05
std::string bar(double share, int width);                  // ██████░░░░

// Control characters (C0 but for newlines, DEL, C1) as ?: a name is shown, a terminal obeys none.
std::string visible(std::string_view utf8);

std::size_t display_width(std::string_view utf8);  // code points; our own text has no wide ones

struct Terminal {
  bool is_terminal = false;
  int width = 0;  // 0: no limit
};
Terminal terminal_of(int fd);

}  // namespace sluice::scheduler::cli
