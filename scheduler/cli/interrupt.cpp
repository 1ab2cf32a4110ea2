#include "scheduler/cli/interrupt.h"

#include <signal.h>
#include <time.h>

namespace sluice::scheduler::cli {
namespace {

volatile sig_atomic_t asked = 0;

}  // namespace

void watch_for_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { asked = 1; };
  // No SA_RESTART: a sleep ends at once.
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  // A terminal that goes away; under nohup it is ignored, and stays so.
  struct sigaction before {};
  ::sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);
}

bool interrupted() { return asked != 0; }

void sleep_unless_interrupted(double seconds) {
  if (interrupted()) return;
  timespec wait{.tv_sec = static_cast<time_t>(seconds), .tv_nsec = 0};
  wait.tv_nsec = static_cast<long>((seconds - static_cast<double>(wait.tv_sec)) * 1e9);
  ::nanosleep(&wait, nullptr);
}

}  // namespace sluice::scheduler::cli
