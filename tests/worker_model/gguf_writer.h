// Writes GGUF headers, true and lying ones: each call appends what it says and nothing is checked.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tests {

class GgufWriter {
 public:
  enum Type : std::uint32_t {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    string,
    array,
    u64,
    i64,
    f64
  };

  // Counts of the header; -1: as many as were added.
  std::uint32_t magic = 0x46554747, version = 3;
  std::int64_t tensor_count = -1, pair_count = -1;

  template <class T>
  GgufWriter& pair(std::string_view key, Type type, T value) {
    begin_pair(key, type);
    return append(pairs_, value);
  }
  GgufWriter& pair(std::string_view key, std::string_view text) {
    begin_pair(key, string);
    return append(pairs_, text);
  }
  GgufWriter& size(std::string_view key, std::uint32_t value) { return pair(key, u32, value); }
  GgufWriter& strings(std::string_view key, const std::vector<std::string>& values) {
    begin_array(key, string, values.size());
    for (const auto& value : values) append(pairs_, std::string_view(value));
    return *this;
  }
  // An array's head that claims `count` elements; raw() may follow with some.
  GgufWriter& begin_array(std::string_view key, Type type, std::uint64_t count) {
    begin_pair(key, array);
    append(pairs_, static_cast<std::uint32_t>(type));
    return append(pairs_, count);
  }
  GgufWriter& raw(std::string_view bytes) {
    pairs_ += bytes;
    return *this;
  }
  // `code` is ggml's type; dimensions with the dense one first.
  GgufWriter& tensor(std::string_view name, std::initializer_list<std::uint64_t> dimensions,
                     std::uint32_t code, std::uint64_t offset) {
    ++tensors_added_;
    append(tensors_, name);
    append(tensors_, static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t size : dimensions) append(tensors_, size);
    append(tensors_, code);
    return append(tensors_, offset);
  }

  // The header and `data_bytes` zeros after the alignment of 32.
  std::string file(std::size_t data_bytes = 0) const {
    std::string out;
    GgufWriter writer;
    writer.append(out, magic);
    writer.append(out, version);
    writer.append(out, tensor_count < 0 ? tensors_added_ : tensor_count);
    writer.append(out, pair_count < 0 ? pairs_added_ : pair_count);
    out += pairs_ + tensors_;
    out.resize((out.size() + 31) / 32 * 32 + data_bytes);
    return out;
  }

 private:
  void begin_pair(std::string_view key, Type type) {
    ++pairs_added_;
    append(pairs_, key);
    append(pairs_, static_cast<std::uint32_t>(type));
  }
  template <class T>
  GgufWriter& append(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufWriter& append(std::string& out, std::string_view text) {
    append(out, static_cast<std::uint64_t>(text.size()));
    out += text;
    return *this;
  }

  std::string pairs_, tensors_;
  std::int64_t pairs_added_ = 0, tensors_added_ = 0;
};

}  // namespace sluice::tests
