// A GPU that is not there: what the device headers (device/) ask of the emulation, and what tests
// may set and read. One thread of a block is one fiber; a kernel is plain C++. README.md says what
// this can show and what it cannot.
#pragma once

#include <driver_types.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <source_location>
#include <string>
#include <tuple>
#include <utility>

namespace emulation {

// In which order threads of a block run, and blocks of a grid, and streams: a result that depends
// on it is a bug of the kernel, or of who forgot an event.
enum class Order { ascending, descending, random };

struct Settings {
  int compute_capability = 75;  // one of limits.h
  Order order = Order::ascending;
  std::uint64_t seed = 1;
  std::size_t memory_bytes = std::size_t{16} << 30;
  // A device's error ends the program, with a message; else it is kept and returned, as CUDA does.
  bool abort_on_error = true;
  bool present = true;  // false: no driver, every call says so
  // false: a trace. What is submitted is checked and counted, and nothing happens: memory is
  // neither filled nor read, kernels do not run. For a device's whole life.
  bool executes = true;
};
Settings& settings();

// Called with its name when a kernel is to be launched, at once or with others later. Empty:
// nothing is.
void on_launch(std::function<void(const char* kernel)> call);

struct Counters {
  std::uint64_t graphs = 0, launches = 0, blocks = 0, threads = 0, barriers = 0,
                warp_operations = 0;
  std::map<const void*, std::uint64_t> launches_of;  // a kernel's function
};
Counters& counters();

std::string last_message();  // of the device's last error; empty: none
void clear_error();          // a real device wants a new process for that

// The nth next call of the CUDA function of that name returns `error` and does nothing.
void fail_call(const std::string& function, int nth, cudaError_t error);

// ---- what the device headers call ------------------------------------------------------------

using Site = std::source_location;

enum class BarrierKind { plain, count, all, any };
int barrier(BarrierKind kind, int predicate, Site site);

enum class WarpKind { sync, shuffle_from, shuffle_up, shuffle_down, shuffle_xor, ballot, mma };
// What a lane brings to an operation of its warp and gets from it.
struct WarpRequest {
  WarpKind kind = WarpKind::sync;
  unsigned mask = ~0u;
  std::uint64_t value = 0;  // in, and out
  int argument = 0;         // the lane, the distance or the lanes' xor
  int width = 32;
  // mma: an m16n8kK tile, K = 8 * k_groups, of f16 with fp32 sums; fragments as PTX lays them out.
  int k_groups = 0;
  const unsigned* a = nullptr;  // 2 * k_groups
  const unsigned* b = nullptr;  // k_groups
  float* c = nullptr;           // 4, added to
};
void warp(WarpRequest& request, Site site);

void fence();

// The block's shared memory: one layout a kernel. Not initialised, as on a device: all NaN.
void* shared_memory(std::size_t bytes, std::size_t align);

// A kernel as the device runs it.
struct Launch {
  const char* kernel = "";
  const void* function = nullptr;
  dim3 grid, block;
};

// Looks for pointers into the host's memory, which end the launch that is being made.
void check_argument(const void* argument, std::size_t bytes);
template <class T>
void check_argument(T& argument) {
  __builtin_clear_padding(&argument);
  check_argument(&argument, sizeof argument);
}

// What nvcc tells a program of each of its kernels. bind() makes of the kernel and pointers to its
// arguments, which it copies, what one thread does.
struct Kernel {
  const char* name = "";
  std::function<void()> (*bind)(const void* kernel, void** arguments) = nullptr;
};
void know(const void* kernel, const Kernel& known);

template <class... Parameters, std::size_t... I>
std::function<void()> thread_of(void (*kernel)(Parameters...), [[maybe_unused]] void** arguments,
                                std::index_sequence<I...>) {
  std::tuple<Parameters...> kept(*static_cast<Parameters*>(arguments[I])...);
  std::apply([](auto&... each) { (check_argument(each), ...); }, kept);
  return [kernel, kept] { std::apply(kernel, kept); };
}
template <class... Parameters>
void know(void (*kernel)(Parameters...), const char* name) {
  know(reinterpret_cast<const void*>(kernel),
       {.name = name, .bind = [](const void* of, void** arguments) {
          return thread_of(reinterpret_cast<void (*)(Parameters...)>(const_cast<void*>(of)),
                           arguments, std::index_sequence_for<Parameters...>());
        }});
}

}  // namespace emulation
