// A cursor over the header's bytes: buffered, bounds-checked, hashing what it passes. Errors name
// the file, the subject being read and its offset.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "worker/model/read_only_file.h"

namespace sluice::worker::model {

class HeaderReader {
 public:
  // `hash`: of what was read before.
  HeaderReader(const ReadOnlyFile& file, std::uint64_t hash) : file_(file), hash_(hash) {}

  // What is being read from here on, for errors: "metadata 'general.name'".
  void begin(std::string subject) { subject_ = std::move(subject); }

  std::uint64_t offset() const { return offset_; }
  std::uint64_t left() const { return file_.bytes() - offset_; }
  std::uint64_t hash() const { return hash_; }

  template <class T>
  T number() {
    static_assert(std::is_arithmetic_v<T> && std::endian::native == std::endian::little);
    std::array<std::byte, sizeof(T)> bytes;
    take(bytes);
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  std::string string();                   // a length of 64 bits and as many bytes
  std::string text(std::uint64_t bytes);  // Requires: bytes <= left()

  // A count of things of at least `bytes_each_min` bytes, which must fit in the rest of the file.
  std::uint64_t count(std::string_view things, std::uint64_t bytes_each_min);

  std::string subject() const;  // "model.gguf: tensor 'a' (offset 96)"
  [[noreturn]] void fail(const std::string& what) const;

 private:
  void take(std::span<std::byte> out);
  void refill();

  const ReadOnlyFile& file_;
  std::string subject_ = "header";
  std::uint64_t offset_ = 0;  // of the next byte
  std::uint64_t hash_;
  std::array<std::byte, 64 * 1024> buffer_;
  std::span<const std::byte> buffered_;  // bytes from offset_ on
};

}  // namespace sluice::worker::model
