// FNV-1a with 64 bits (Fowler, Noll and Vo), by which ranks compare the headers of their files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::worker::model {

inline constexpr std::uint64_t kHashOfNothing = 14695981039346656037u;

// The hash of what was hashed before and these bytes.
inline std::uint64_t hash_on(std::uint64_t hash, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211u;
  }
  return hash;
}

}  // namespace sluice::worker::model
