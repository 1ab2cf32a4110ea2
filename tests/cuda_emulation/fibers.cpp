#include "tests/cuda_emulation/fibers.h"

#include <sys/mman.h>

#include <cstdlib>

#include "tests/cuda_emulation/sanitizers.h"

namespace emulation {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

thread_local std::vector<Stack> free_stacks;
thread_local void (*entry_of_next)() = nullptr;

// Where the one that was left is kept, told by itself as it jumps; null: it is gone.
void keep_left(transfer_t arrival) {
  if (auto* left = static_cast<fcontext_t*>(arrival.data)) *left = arrival.fctx;
}

void begin(transfer_t arrival) {
  keep_left(arrival);
  if (with_asan()) __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
  entry_of_next();
  std::abort();  // it never returns
}

}  // namespace

Stack take_stack() {
  if (!free_stacks.empty()) {
    const Stack stack = free_stacks.back();
    free_stacks.pop_back();
    return stack;
  }
  const std::size_t bytes = with_asan() || with_tsan() ? 256 << 10 : 64 << 10;
  void* at = mmap(nullptr, bytes + kGuardBytes, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) std::abort();
  auto* base = static_cast<std::byte*>(at) + kGuardBytes;
  mprotect(base, bytes, PROT_READ | PROT_WRITE);
  return {base, bytes};
}

void give_back(Stack stack) {
  unpoison(stack.base, stack.bytes);  // frames that were abandoned
  free_stacks.push_back(stack);
}

void prepare(Fiber& fiber, void (*entry)()) {
  entry_of_next = entry;
  fiber.context = make_fcontext(fiber.stack.base + fiber.stack.bytes, fiber.stack.bytes, &begin);
  fiber.asan_fake_stack = nullptr;
}

void adopt(Fiber& program) {
  if (with_tsan()) program.tsan = __tsan_get_current_fiber();
  if (with_asan() && program.stack.base == nullptr) {
    // ASan tells of a stack only the one that has just left it: here and back.
    static thread_local const void* bottom = nullptr;
    static thread_local std::size_t bytes = 0;
    static thread_local Fiber* home = nullptr;
    Fiber probe{.stack = take_stack()};
    home = &program;
    probe.context = make_fcontext(probe.stack.base + probe.stack.bytes, probe.stack.bytes,
                                  [](transfer_t arrival) {
                                    keep_left(arrival);
                                    __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
                                    __sanitizer_start_switch_fiber(nullptr, bottom, bytes);
                                    jump_fcontext(home->context, nullptr);
                                  });
    __sanitizer_start_switch_fiber(&program.asan_fake_stack, probe.stack.base, probe.stack.bytes);
    keep_left(jump_fcontext(probe.context, &program.context));
    __sanitizer_finish_switch_fiber(program.asan_fake_stack, nullptr, nullptr);
    give_back(probe.stack);
    program.stack = {static_cast<std::byte*>(const_cast<void*>(bottom)), bytes};
  }
}

void switch_fiber(Fiber& from, Fiber& to) {
  if (with_asan()) {
    __sanitizer_start_switch_fiber(&from.asan_fake_stack, to.stack.base, to.stack.bytes);
  }
  if (with_tsan()) __tsan_switch_to_fiber(to.tsan, kTsanNoSync);
  keep_left(jump_fcontext(to.context, &from.context));
  if (with_asan()) __sanitizer_finish_switch_fiber(from.asan_fake_stack, nullptr, nullptr);
}

void leave_for(Fiber& to) {
  if (with_asan()) __sanitizer_start_switch_fiber(nullptr, to.stack.base, to.stack.bytes);
  if (with_tsan()) __tsan_switch_to_fiber(to.tsan, kTsanNoSync);
  jump_fcontext(to.context, nullptr);
  std::abort();
}

}  // namespace emulation
