// What a command is at, on the terminal, while it is at it. Where standard error is no terminal, a
// line of it every ten seconds. With --quiet nothing is shown.
#pragma once

#include <string>

#include "scheduler/cli/format.h"

namespace sluice::scheduler::cli {

class PassingLine {
 public:
  explicit PassingLine(bool quiet);
  ~PassingLine() { clear(); }
  PassingLine(const PassingLine&) = delete;
  PassingLine& operator=(const PassingLine&) = delete;

  void show(std::string text);  // in place of the last one, as much of it as fits
  void clear();                 // before anything else is written

 private:
  const Terminal terminal_;
  const bool is_shown_;
  bool drawn_ = false;
  double last_line_s_;  // where standard error is no terminal
};

}  // namespace sluice::scheduler::cli
