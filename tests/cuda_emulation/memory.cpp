#include "tests/cuda_emulation/memory.h"

#include <signal.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/cuda_emulation/block.h"
#include "tests/cuda_emulation/emulation.h"
#include "tests/cuda_emulation/fibers.h"
#include "tests/cuda_emulation/sanitizers.h"

namespace emulation {
namespace {

constexpr std::size_t kPage = 4096, kAlign = 256, kArenaBytes = std::size_t{64} << 30;
constexpr std::byte kFill{0xff};

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

struct Allocation {
  std::size_t bytes = 0;
  std::byte* pages = nullptr;
  std::size_t span = 0;  // of the pages
  unsigned number = 0;
};
using Allocations = std::map<const std::byte*, Allocation>;

struct Arena {
  std::byte* begin = nullptr;
  std::byte* top = nullptr;
  Allocations live, freed;  // freed: to name them
  std::map<const std::byte*, std::size_t> pinned;
  std::size_t used = 0;
  int open = 0;

  Arena() {
    void* at =
        mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) std::abort();
    begin = static_cast<std::byte*>(at);
    top = begin + kGuardBytes;
  }
  void protect(int protection) {
    for (const auto& [at, allocation] : live) {
      mprotect(allocation.pages, allocation.span, protection);
    }
  }
};
Arena& arena() {
  static Arena* const instance = new Arena;  // outlives whatever frees at exit
  return *instance;
}

// Of the allocations whose pages do not begin beyond an address the last; null: there is none.
const Allocations::value_type* last_before(const Allocations& all, const void* at) {
  auto next = all.upper_bound(static_cast<const std::byte*>(at));
  if (next != all.end() && at >= next->second.pages) return &*next;
  return next == all.begin() ? nullptr : &*std::prev(next);
}

std::string describe(const void* at) {
  const auto* live = last_before(arena().live, at);
  const auto* freed = last_before(arena().freed, at);
  const bool is_freed = live == nullptr || (freed != nullptr && freed->first > live->first);
  const auto* found = is_freed ? freed : live;
  if (found == nullptr) return "an address of the device that was never allocated";
  const auto& [begin, allocation] = *found;
  const auto offset = static_cast<const std::byte*>(at) - begin;
  const char* where = is_freed     ? "after the free of"
                      : offset < 0 ? "before"
                      : offset >= static_cast<std::ptrdiff_t>(allocation.bytes) ? "past the end of"
                                                                                : "inside";
  return std::string(where) + " device allocation " + std::to_string(allocation.number) + " of " +
         std::to_string(allocation.bytes) + " bytes, at offset " + std::to_string(offset);
}

void on_fault(int signal, siginfo_t* info, void*) {
  const void* at = info->si_addr;
  if (in_kernel()) {
    std::string what = describe_fault(at);
    if (what.empty() && in_device(at)) what = "illegal address: " + describe(at);
    if (what.empty()) {
      what = "illegal address " + std::to_string(reinterpret_cast<std::uintptr_t>(at)) +
             ": null, or the host's";
    }
    fail_kernel(cudaErrorIllegalAddress, what);
  }
  if (in_device(at)) {
    settings().abort_on_error = true;
    report_error(cudaErrorIllegalAddress, "the host touched device memory: " + describe(at));
  }
  ::signal(signal, SIG_DFL);  // the instruction is tried again
}

}  // namespace

cudaError_t allocate_device(void** at, std::size_t bytes) {
  Arena& a = arena();
  watch_faults();
  *at = nullptr;
  if (bytes == 0) return cudaSuccess;
  const std::size_t body = round_up(bytes, kAlign), span = round_up(body, kPage);
  if (a.used + bytes > settings().memory_bytes || a.top + span + kPage > a.begin + kArenaBytes) {
    return cudaErrorMemoryAllocation;
  }
  std::byte* pages = a.top;
  a.top += span + kPage;
  std::byte* begin = pages + span - body;
  if (settings().executes) {
    mprotect(pages, span, PROT_READ | PROT_WRITE);
    std::memset(pages, static_cast<int>(kFill), span);
    poison(pages, span);
    unpoison(begin, bytes);
    if (a.open == 0) mprotect(pages, span, PROT_NONE);
  }
  static unsigned number = 0;
  a.live[begin] = {.bytes = bytes, .pages = pages, .span = span, .number = ++number};
  a.used += bytes;
  *at = begin;
  return cudaSuccess;
}

cudaError_t free_device(void* at) {
  if (at == nullptr) return cudaSuccess;
  Arena& a = arena();
  const auto found = a.live.find(static_cast<std::byte*>(at));
  if (found == a.live.end()) return cudaErrorInvalidValue;
  const Allocation& allocation = found->second;
  a.used -= allocation.bytes;
  if (!settings().executes) {
    a.freed.insert(a.live.extract(found));
    return cudaSuccess;
  }
  mprotect(allocation.pages, allocation.span, PROT_READ | PROT_WRITE);
  unpoison(allocation.pages, allocation.span);
  const std::byte* end = found->first + allocation.bytes;
  for (const std::byte* i = end; i < allocation.pages + allocation.span; ++i) {
    if (*i == kFill) continue;
    report_error(cudaErrorIllegalAddress,
                 "a write past the end of device allocation " + std::to_string(allocation.number) +
                     " of " + std::to_string(allocation.bytes) + " bytes, found when it was freed");
    break;
  }
  madvise(allocation.pages, allocation.span, MADV_DONTNEED);
  mprotect(allocation.pages, allocation.span, PROT_NONE);
  a.freed.insert(a.live.extract(found));
  return cudaSuccess;
}

std::size_t device_bytes_used() { return arena().used; }

bool in_device(const void* at) {
  const Arena& a = arena();
  return at >= a.begin && at < a.begin + kArenaBytes;
}

bool is_device_range(const void* at, std::size_t bytes) {
  const auto* found = in_device(at) ? last_before(arena().live, at) : nullptr;
  if (found == nullptr) return false;
  const auto* begin = static_cast<const std::byte*>(at);
  return begin >= found->first && begin + bytes <= found->first + found->second.bytes;
}

cudaError_t allocate_pinned(void** at, std::size_t bytes) {
  const std::size_t span = round_up(bytes + (bytes == 0 ? 1 : 0), kPage);
  *at = std::aligned_alloc(kPage, span);
  if (*at == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*at, static_cast<int>(kFill), span);
  arena().pinned[static_cast<std::byte*>(*at)] = bytes;
  return cudaSuccess;
}

cudaError_t free_pinned(void* at) {
  if (at == nullptr) return cudaSuccess;
  if (arena().pinned.erase(static_cast<std::byte*>(at)) == 0) return cudaErrorInvalidValue;
  std::free(at);
  return cudaSuccess;
}

bool is_pinned(const void* at, std::size_t bytes) {
  const auto& all = arena().pinned;
  const auto* begin = static_cast<const std::byte*>(at);
  auto next = all.upper_bound(begin);
  if (next == all.begin()) return false;
  --next;
  return begin + bytes <= next->first + next->second;
}

DeviceAccess::DeviceAccess() {
  if (arena().open++ == 0) arena().protect(PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
  if (--arena().open == 0) arena().protect(PROT_NONE);
}

void watch_faults() {
  static thread_local bool watched = false;
  if (std::exchange(watched, true)) return;
  // A stack of its own, as the one at fault may be full.
  stack_t stack{};
  stack.ss_size = 128 << 10;
  stack.ss_sp =
      mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
}

}  // namespace emulation
