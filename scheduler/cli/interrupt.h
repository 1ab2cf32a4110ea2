// Ctrl-C as a question that loops ask, so that a command can tidy up and say how to come back.
#pragma once

namespace sluice::scheduler::cli {

void watch_for_interrupt();  // from here on SIGINT and SIGTERM only set the answer
bool interrupted();
void sleep_unless_interrupted(double seconds);

}  // namespace sluice::scheduler::cli
