// The weights of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json names. Only headers are read; every length, offset and shape is
// checked against the files.
// Source: the safetensors format (Hugging Face, safetensors README, "Format").
#pragma once

#include <cstdint>
#include <filesystem>

#include "worker/model/weight_files.h"

namespace sluice::worker::model {

struct Safetensors {
  WeightFiles weights;
  std::uint64_t header_hash = 0;  // of all headers, and of the index
};

// Memory taken while parsing stays below this many bytes for each byte of the headers and the
// index.
inline constexpr std::uint64_t kMemoryPerHeaderByteMax = 32;

// Throws worker::Error: no such file, truncated, a lie in a header, a tensor type that is not
// supported (named, with the tensor), a shard that is missing or lacks a tensor.
Safetensors open_safetensors(const std::filesystem::path& folder);

}  // namespace sluice::worker::model
