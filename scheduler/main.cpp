#include "scheduler/cli/command_line.h"

int main(int argc, char** argv) { return sluice::scheduler::cli::run(argc, argv); }
