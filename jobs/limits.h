// The limits of what Sluice reads, all in one place. Beyond one of them is an error that names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::jobs {

inline constexpr std::size_t kInputLineBytesMax = std::size_t{16} << 20;  // a line of a prompt file
inline constexpr std::size_t kPromptIdBytesMax = 512;
inline constexpr std::size_t kJobNameBytesMax = 128;
inline constexpr std::size_t kServedModelNameBytesMax = 512;
inline constexpr int kMaxTokensMax = 1 << 20;            // max_tokens of one prompt
inline constexpr std::int64_t kTokenIdMax = 0x7fffffff;  // token ids are 0 .. 2^31 - 1
inline constexpr std::size_t kStopTokenIdsMax = 1024;    // of one prompt
inline constexpr std::size_t kStopStringsMax = 64;       // of one prompt
inline constexpr std::size_t kStopStringBytesMax = 1024;
inline constexpr int kSamplesMax = 1024;  // of one prompt
inline constexpr std::size_t kRecordBytesMax = std::size_t{4}
                                               << 20;  // spec.json, metrics.json, ...
inline constexpr int kRecordKeysMax = 10000;           // of such a file, all levels together
inline constexpr int kJsonDepthMax = 8;       // nesting that any of our formats needs, with room
inline constexpr int kPromptDepthMax = 64;    // of a prompt's line: schemas of tools go deep
inline constexpr int kZstdWindowLogMax = 27;  // 128 MiB: what zstd itself unpacks unasked
inline constexpr int kRanksMax = 1 << 20;     // of one job
inline constexpr std::size_t kTraceBytesMax = std::size_t{64} << 20;  // of one rank's timeline
inline constexpr std::size_t kTraceLineBytesMax = 4096;               // a line of it

}  // namespace sluice::jobs
