#include "scheduler/cli/passing_line.h"

#include <unistd.h>

#include <iostream>

#include "jobs/files.h"

namespace sluice::scheduler::cli {
namespace {

constexpr double kLineEvery_s = 10;

}  // namespace

PassingLine::PassingLine(bool quiet)
    : terminal_(terminal_of(STDERR_FILENO)),
      is_shown_(!quiet),
      last_line_s_(jobs::steady_time_s()) {}

void PassingLine::show(std::string text) {
  if (!is_shown_) return;
  if (!terminal_.is_terminal) {
    const double now_s = jobs::steady_time_s();
    if (now_s < last_line_s_ + kLineEvery_s) return;
    last_line_s_ = now_s;
    std::cerr << text << std::endl;
    return;
  }
  while (display_width(text) >= static_cast<std::size_t>(terminal_.width)) text.pop_back();
  std::cerr << "\r\x1b[K" << text << std::flush;
  drawn_ = true;
}

void PassingLine::clear() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace sluice::scheduler::cli
