// What every target of this folder shares: the entry point, the check of a property, and what is
// asked of any parser of foreign bytes. libFuzzer calls the entry point (SLUICE_FUZZ, clang), or
// replay.cpp does with the kept corpus. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "jobs/io/utf8.h"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Of every sanitizer's runtime, GCC's too, which brings no header for them; null without one.
[[gnu::weak]] int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*,
                                                                              std::size_t),
                                                            void (*freed)(const volatile void*));
[[gnu::weak]] std::size_t __sanitizer_get_allocated_size(const volatile void*);
}

namespace sluice::tests {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A property that does not hold ends the process, as a sanitizer's finding does.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", property);
  std::abort();
}

// How much a parser may have allocated at once for an input of n bytes: base + per_byte * n.
struct MemoryBound {
  std::size_t base = std::size_t{64} << 10;
  std::size_t per_byte = 0;
};

// Watches that bound while it lives. Without a sanitizer there is nobody to count.
class MemoryWatch {
 public:
  MemoryWatch(const MemoryBound& bound, std::size_t input_bytes)
      : bytes_max_(static_cast<std::int64_t>(bound.base + bound.per_byte * input_bytes)) {
    static const bool installed = install();
    static_cast<void>(installed);
    live_bytes = peak_bytes = 0;
  }
  ~MemoryWatch() { require(peak_bytes <= bytes_max_, "memory stays within its bound"); }
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

 private:
  static bool install() {
    if (!__sanitizer_install_malloc_and_free_hooks) return false;
    __sanitizer_install_malloc_and_free_hooks(
        [](const volatile void*, std::size_t bytes) {
          live_bytes += static_cast<std::int64_t>(bytes);
          peak_bytes = std::max(peak_bytes, live_bytes);
        },
        [](const volatile void* block) {
          live_bytes -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(block));
        });
    return true;
  }

  static inline std::int64_t live_bytes = 0, peak_bytes = 0;
  std::int64_t bytes_max_;
};

// What parse() returns, or nothing when it refuses with its folder's Error: in words that can stand
// in an exit record (JSON) and on a screen. Whatever else it throws ends the process.
template <class Error, class Parse>
auto parse_or_refuse(const MemoryBound& bound, std::size_t input_bytes, Parse parse)
    -> std::optional<decltype(parse())> {
  const std::size_t message_bytes_max = 4096 + input_bytes;  // it may quote
  const MemoryWatch watch(bound, input_bytes);
  try {
    return parse();
  } catch (const Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message.size() <= message_bytes_max, "a refusal says why, briefly");
    require(!jobs::io::first_invalid_utf8(message), "a refusal is UTF-8");
    return std::nullopt;
  }
}

}  // namespace sluice::tests
