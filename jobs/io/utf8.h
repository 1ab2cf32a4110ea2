// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::jobs::io {

// Offset of the first byte that is not part of a whole character; nullopt: all is UTF-8.
std::optional<std::size_t> first_invalid_utf8(std::string_view bytes);

// The text, or the whole characters among its first `bytes_max` bytes and "...": for messages.
std::string shortened(std::string_view text, std::size_t bytes_max);

}  // namespace sluice::jobs::io
