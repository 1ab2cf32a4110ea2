#include "worker/model/gguf_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "worker/error.h"
#include "worker/model/header_reader.h"
#include "worker/model/printable.h"

namespace sluice::worker::model {
namespace {

constexpr std::uint32_t kMagic = 0x46554747;     // "GGUF"
constexpr std::uint32_t kLfsMagic = 0x73726576;  // "vers", how a Git LFS pointer begins
constexpr std::uint32_t kDimensionsMax = 4;
constexpr std::uint64_t kTensorBytesMin = 8 + 4 + 8 + 4 + 8;  // name, dimensions, type, offset
constexpr std::uint64_t kPairBytesMin = 8 + 4 + 1;            // key, type, value
constexpr std::uint64_t kAlignmentDefault = 32;
constexpr std::uint64_t kAlignmentMax = 1 << 20;

enum class ValueType : std::uint32_t {
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
constexpr std::array<std::uint64_t, 13> kValueBytesMin = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

// ggml's names of tensor types by number (ggml.h, enum ggml_type): ours are found by name, the
// others refused by it.
constexpr std::array<std::string_view, 41> kTypeNames = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4"};

std::optional<kernels::WeightType> weight_type(std::uint32_t code) {
  if (code >= kTypeNames.size()) return std::nullopt;
  for (const auto type : kernels::kWeightTypes) {
    if (kernels::block_format(type).name == kTypeNames[code]) return type;
  }
  return std::nullopt;
}

ValueType read_value_type(HeaderReader& in) {
  const auto code = in.number<std::uint32_t>();
  if (code >= kValueBytesMin.size()) {
    in.fail("value type " + std::to_string(code) + " is unknown; the file is damaged");
  }
  return static_cast<ValueType>(code);
}

bool read_boolean(HeaderReader& in) {
  const auto byte = in.number<std::uint8_t>();
  if (byte > 1) in.fail("a boolean holds " + std::to_string(byte) + "; the file is damaged");
  return byte == 1;
}

[[noreturn]] void refuse_nested_array(const HeaderReader& in) {
  in.fail("an array within an array; this version reads flat arrays only");
}

// One number or boolean as the widest of its kind; signed and unsigned stay apart.
MetaValue read_scalar(HeaderReader& in, ValueType type) {
  switch (type) {
    case ValueType::u8:
      return std::uint64_t{in.number<std::uint8_t>()};
    case ValueType::i8:
      return std::int64_t{in.number<std::int8_t>()};
    case ValueType::u16:
      return std::uint64_t{in.number<std::uint16_t>()};
    case ValueType::i16:
      return std::int64_t{in.number<std::int16_t>()};
    case ValueType::u32:
      return std::uint64_t{in.number<std::uint32_t>()};
    case ValueType::i32:
      return std::int64_t{in.number<std::int32_t>()};
    case ValueType::u64:
      return in.number<std::uint64_t>();
    case ValueType::i64:
      return in.number<std::int64_t>();
    case ValueType::f32:
      return double{in.number<float>()};
    case ValueType::f64:
      return in.number<double>();
    case ValueType::boolean:
      return read_boolean(in);
    case ValueType::string:
      return in.string();
    case ValueType::array:
      break;
  }
  refuse_nested_array(in);
}

std::int64_t as_int64(const MetaValue& value, const HeaderReader& in) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? 1 : 0;
  const auto wide = std::get<std::uint64_t>(value);
  if (!std::in_range<std::int64_t>(wide)) {
    in.fail("an element is " + std::to_string(wide) + ", beyond 63 bits; the file is damaged");
  }
  return static_cast<std::int64_t>(wide);
}

MetaValue read_array(HeaderReader& in) {
  const ValueType type = read_value_type(in);
  if (type == ValueType::array) refuse_nested_array(in);
  const auto count = in.count("elements", kValueBytesMin[static_cast<std::size_t>(type)]);
  const auto fill = [&]<class T>(std::vector<T> values, auto&& next) {
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(next());
    return MetaValue(std::move(values));
  };
  switch (type) {
    case ValueType::string:
      return fill(std::vector<std::string>(), [&] { return in.string(); });
    case ValueType::f32:
    case ValueType::f64:
      return fill(std::vector<double>(), [&] { return std::get<double>(read_scalar(in, type)); });
    default:
      return fill(std::vector<std::int64_t>(), [&] { return as_int64(read_scalar(in, type), in); });
  }
}

void read_metadata(HeaderReader& in, std::uint64_t count, GgufHeader& header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    in.begin("metadata pair " + std::to_string(i + 1) + " of " + std::to_string(count));
    std::string key = in.string();
    in.begin("metadata " + printable(key));
    const ValueType type = read_value_type(in);
    MetaValue value = type == ValueType::array ? read_array(in) : read_scalar(in, type);
    if (!header.metadata.emplace(std::move(key), std::move(value)).second) {
      in.fail("stands twice; the file is damaged");
    }
  }
}

kernels::WeightType read_tensor_type(HeaderReader& in) {
  const auto code = in.number<std::uint32_t>();
  if (const auto type = weight_type(code)) return *type;
  const std::string name =
      code < kTypeNames.size() ? std::string(kTypeNames[code]) : std::to_string(code);
  std::string supported;
  for (const auto type : kernels::kWeightTypes) {
    supported += " " + std::string(kernels::block_format(type).name);
  }
  in.fail("type " + name + " is not supported by this version (supported:" + supported +
          "); use a file of one of these types");
}

// Name, shape, type and offset within the data; `offset` becomes one in the file later.
TensorInfo read_tensor(HeaderReader& in) {
  TensorInfo tensor;
  tensor.name = in.string();
  in.begin("tensor " + printable(tensor.name));
  const auto dimensions = in.number<std::uint32_t>();
  if (dimensions < 1 || dimensions > kDimensionsMax) {
    in.fail("has " + std::to_string(dimensions) + " dimensions, not 1 to 4; the file is damaged");
  }
  tensor.cols = in.number<std::uint64_t>();
  std::vector<std::uint64_t> outer(dimensions - 1);
  for (std::uint64_t& size : outer) size = in.number<std::uint64_t>();
  tensor.type = read_tensor_type(in);
  tensor.offset = in.number<std::uint64_t>();
  tensor.bytes = tensor_bytes(in.subject(), tensor.type, outer, tensor.cols);
  // No overflow: the bytes of all rows did fit.
  tensor.rows = std::accumulate(outer.begin(), outer.end(), std::uint64_t{1}, std::multiplies<>());
  return tensor;
}

void read_tensors(HeaderReader& in, std::uint64_t count, GgufHeader& header) {
  std::set<std::string, std::less<>> names;
  header.tensors.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    in.begin("tensor " + std::to_string(i + 1) + " of " + std::to_string(count));
    header.tensors.push_back(read_tensor(in));
    if (!names.insert(header.tensors.back().name).second) {
      in.fail("stands twice; the file is damaged");
    }
  }
}

std::uint64_t alignment(const HeaderReader& in, const GgufHeader& header) {
  const auto found = header.metadata.find("general.alignment");
  if (found == header.metadata.end()) return kAlignmentDefault;
  const auto* value = std::get_if<std::uint64_t>(&found->second);
  if (!value || !std::has_single_bit(*value) || *value > kAlignmentMax) {
    in.fail("general.alignment is not a power of two up to " + std::to_string(kAlignmentMax));
  }
  return *value;
}

// Turns offsets into the data into offsets in the file, and checks that every tensor lies within
// the file.
void place_tensors(HeaderReader& in, GgufHeader& header) {
  const std::uint64_t align = alignment(in, header);
  const std::uint64_t data = (in.offset() + align - 1) / align * align;
  for (TensorInfo& tensor : header.tensors) {
    in.begin("tensor " + printable(tensor.name));
    if (tensor.offset % align != 0) {
      in.fail("begins at " + std::to_string(tensor.offset) + " of the data, not a multiple of " +
              std::to_string(align) + "; the file is damaged");
    }
    const std::uint64_t room = in.offset() + in.left() - std::min(data, in.offset() + in.left());
    if (tensor.offset > room || tensor.bytes > room - tensor.offset) {
      in.fail("its " + std::to_string(tensor.bytes) + " bytes at " + std::to_string(tensor.offset) +
              " of the data end past the data's " + std::to_string(room) +
              " bytes; the file is cut short: fetch it again");
    }
    tensor.offset += data;
  }
}

void read_version(HeaderReader& in) {
  const auto magic = in.number<std::uint32_t>();
  if (magic == kLfsMagic) in.fail("is a Git LFS pointer, not the model; run `git lfs pull`");
  if (magic != kMagic) in.fail("is not a GGUF file; convert the model to GGUF");
  const auto version = in.number<std::uint32_t>();
  if (version == 0x02000000 || version == 0x03000000) {
    in.fail("is a big-endian GGUF file; only little-endian ones are supported");
  }
  if (version != 2 && version != 3) {
    in.fail("GGUF version " + std::to_string(version) + " is not supported (supported: 2, 3)");
  }
}

}  // namespace

GgufHeader read_gguf_header(const ReadOnlyFile& file, std::uint64_t hash) {
  auto in = std::make_unique<HeaderReader>(file, hash);  // its buffer is large for a stack
  GgufHeader header;
  read_version(*in);
  const auto tensors = in->count("tensors", kTensorBytesMin);
  const auto pairs = in->count("metadata pairs", kPairBytesMin);
  read_metadata(*in, pairs, header);
  read_tensors(*in, tensors, header);
  place_tensors(*in, header);
  refuse_overlaps(file.path(), header.tensors);
  header.hash = in->hash();
  return header;
}

}  // namespace sluice::worker::model
