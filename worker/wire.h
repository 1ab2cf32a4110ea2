// Values to bytes and back, for the messages between ranks of one world. Ranks run the same binary
// on machines of one byte order; the hello at start carries a format version. Every read is checked
// against the end of the message. Values only.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "worker/error.h"

namespace sluice::worker {

template <typename T>
concept WireValue = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

class ByteWriter {
 public:
  template <WireValue T>
  void put(const T& value) {
    append(std::as_bytes(std::span(&value, 1)));
  }
  template <WireValue T>
  void put_all(const std::vector<T>& values) {  // their count, then the values
    put(static_cast<std::uint32_t>(values.size()));
    append(std::as_bytes(std::span(values)));
  }
  void put_text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    append(std::as_bytes(std::span(text)));
  }
  void align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }
  std::size_t size() const { return bytes_.size(); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void append(std::span<const std::byte> more) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + more.size());
    if (!more.empty()) std::memcpy(&bytes_[at], more.data(), more.size());
  }
  std::vector<std::byte> bytes_;
};

// Throws worker::Error when the message is shorter than what is read from it.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <WireValue T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <WireValue T>
  std::vector<T> get_all() {
    const std::size_t count = get<std::uint32_t>();
    const std::span<const std::byte> from = take_values(count, sizeof(T));
    std::vector<T> values(count);
    if (count > 0) std::memcpy(values.data(), from.data(), from.size());
    return values;
  }
  std::string get_text() {
    const std::span<const std::byte> from = take(get<std::uint32_t>());
    return {reinterpret_cast<const char*>(from.data()), from.size()};
  }
  void align(std::size_t to) { take((to - at_ % to) % to); }
  std::span<const std::byte> rest() { return take(bytes_.size() - at_); }
  // Throws worker::Error when anything is left.
  void finish() const {
    if (at_ == bytes_.size()) return;
    throw Error("a message between ranks is of " + std::to_string(bytes_.size()) +
                " bytes instead of " + std::to_string(at_));
  }

 private:
  std::span<const std::byte> take(std::size_t n) {
    if (n > bytes_.size() - at_) {
      throw Error("a message between ranks is cut: " + std::to_string(n) +
                  " bytes wanted at byte " + std::to_string(at_) + " of " +
                  std::to_string(bytes_.size()));
    }
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  std::span<const std::byte> take_values(std::size_t count, std::size_t bytes_each) {
    return take(count * bytes_each);  // count is 32 bits wide: no overflow
  }
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace sluice::worker
