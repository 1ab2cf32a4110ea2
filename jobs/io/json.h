// What every JSON reader of jobs/ shares, without the JSON library's header: its errors in words.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace sluice::jobs::io {

// "column 17: syntax error while ..." from what nlohmann's parser threw; short enough for one line.
std::string describe_json_error(const std::exception& error);

bool is_json_object(std::string_view text);

}  // namespace sluice::jobs::io
