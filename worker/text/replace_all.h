#pragma once

#include <string>
#include <string_view>

namespace sluice::worker::text {

// `text` with every `from` replaced `by`, left to right. Requires: from is not empty.
std::string replace_all(std::string_view text, std::string_view from, std::string_view by);

}  // namespace sluice::worker::text
