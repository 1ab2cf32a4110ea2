// Stacks to switch between, a sanitizer told of each switch.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <vector>

namespace emulation {

inline constexpr std::size_t kGuardBytes = std::size_t{1} << 20;  // not to be touched, before each

struct Stack {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
};
// Never given back: at most a block's threads have one each.
Stack take_stack();
void give_back(Stack stack);

// Something that runs on a stack: a fiber, or (no stack of its own here) the program itself.
struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;  // while it does not run
  Stack stack;
  void* tsan = nullptr;
  void* asan_fake_stack = nullptr;
};

// Begins at `entry(argument)` when it is first switched to; `entry` never returns.
void prepare(Fiber& fiber, void (*entry)());

// Goes on where `to` left off, until something switches to `from` again.
void switch_fiber(Fiber& from, Fiber& to);
// The same, for one who will not come back: its stack is free when `to` runs.
[[noreturn]] void leave_for(Fiber& to);

// Where the program runs on the thread that calls: told once, before it switches away.
void adopt(Fiber& program);

}  // namespace emulation
