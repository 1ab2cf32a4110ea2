// argv -> one subcommand, run; its exit status. Everything that ends a command becomes one line
// here.
#pragma once

namespace sluice::scheduler::cli {

int run(int argc, char** argv);

}  // namespace sluice::scheduler::cli
