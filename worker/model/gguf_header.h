// Parses the header of a GGUF file: bytes of anyone's making into checked values. Every count and
// length is compared with what is left of the file before memory is taken for it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "worker/model/gguf.h"
#include "worker/model/hash.h"
#include "worker/model/read_only_file.h"
#include "worker/model/weight_files.h"

namespace sluice::worker::model {

// Memory taken while parsing stays below this many bytes for each byte of the file. The worst are
// metadata pairs of 13 bytes that become nodes of a map, and arrays of bytes widened to 64 bits.
inline constexpr std::uint64_t kMemoryPerFileByteMax = 16;

struct GgufHeader {
  std::map<std::string, MetaValue, std::less<>> metadata;
  std::vector<TensorInfo> tensors;  // in the header's order
  std::uint64_t hash = 0;           // of the header's bytes, continued from the one given
};

// Throws worker::Error with the path, what was being read and its offset.
GgufHeader read_gguf_header(const ReadOnlyFile& file, std::uint64_t hash = kHashOfNothing);

}  // namespace sluice::worker::model
