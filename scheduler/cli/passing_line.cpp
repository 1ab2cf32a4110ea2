#include "scheduler/cli/passing_line.h"

#include <unistd.h>

#include <iostream>

namespace sluice::scheduler::cli {

PassingLine::PassingLine(bool quiet)
    : terminal_(terminal_of(STDERR_FILENO)), is_shown_(terminal_.is_terminal && !quiet) {}

void PassingLine::show(std::string text) {
  if (!is_shown_) return;
  while (display_width(text) >= static_cast<std::size_t>(terminal_.width)) text.pop_back();
  std::cerr << "\r\x1b[K" << text << std::flush;
  drawn_ = true;
}

void PassingLine::clear() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace sluice::scheduler::cli
