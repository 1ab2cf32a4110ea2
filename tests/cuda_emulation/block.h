// A grid's blocks, one after another on the thread that calls; a block's threads as fibers, each
// running until it waits for others.
#pragma once

#include <functional>
#include <string>

#include "tests/cuda_emulation/emulation.h"

namespace emulation {

// False: an error of the kernel ended it (report_error() has been told).
bool run_grid(const Launch& launch, const std::function<void()>& thread);

// Of the kernel that runs on this thread, for who handles its faults.
bool in_kernel();
std::string describe_fault(const void* at);  // where its own memory was missed; empty: it was not
// Tells the error, with kernel, block and thread; the block is given up.
[[noreturn]] void fail_kernel(cudaError_t error, const std::string& message);

// Kept or fatal, as settings() say.
void report_error(cudaError_t error, const std::string& message);

}  // namespace emulation
