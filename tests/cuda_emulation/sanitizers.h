// The interfaces of sanitizers to what switches stacks itself; each is null where the program is
// not linked with the one it belongs to. The emulation is compiled without any: they see the
// kernels alone.
#pragma once

#include <cstddef>

#define SLUICE_WEAK __attribute__((weak))
extern "C" {
SLUICE_WEAK void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom,
                                                std::size_t size);
SLUICE_WEAK void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom_old,
                                                 std::size_t* size_old);
SLUICE_WEAK void __asan_poison_memory_region(const volatile void* at, std::size_t bytes);
SLUICE_WEAK void __asan_unpoison_memory_region(const volatile void* at, std::size_t bytes);
SLUICE_WEAK void* __tsan_get_current_fiber();
SLUICE_WEAK void* __tsan_create_fiber(unsigned flags);
SLUICE_WEAK void __tsan_switch_to_fiber(void* fiber, unsigned flags);
SLUICE_WEAK void __tsan_set_fiber_name(void* fiber, const char* name);
SLUICE_WEAK void __tsan_acquire(void* address);
SLUICE_WEAK void __tsan_release(void* address);
}
#undef SLUICE_WEAK

namespace emulation {

inline bool with_asan() { return __asan_poison_memory_region != nullptr; }
inline bool with_tsan() { return __tsan_switch_to_fiber != nullptr; }
inline constexpr unsigned kTsanNoSync = 1;  // a switch orders nothing

inline void poison(const void* at, std::size_t bytes) {
  if (with_asan() && bytes > 0) __asan_poison_memory_region(at, bytes);
}
inline void unpoison(const void* at, std::size_t bytes) {
  if (with_asan() && bytes > 0) __asan_unpoison_memory_region(at, bytes);
}
inline void acquire(void* address) {
  if (with_tsan()) __tsan_acquire(address);
}
inline void release(void* address) {
  if (with_tsan()) __tsan_release(address);
}

}  // namespace emulation
