// Python's str of a value, its repr, and what str's own methods do with characters.
// Texts are valid UTF-8; positions count characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

// As Jinja prints a value. Throw worker::Error for one whose text says where it lies in memory, a
// function or a generator.
void append_str(Rendering& rendering, const Value& value, std::string& out);
void append_repr(Rendering& rendering, const Value& value, std::string& out);
std::string str(Rendering& rendering, const Value& value);
std::string repr(Rendering& rendering, const Value& value);

bool is_space(char32_t character);  // str.isspace
std::size_t characters(std::string_view text);
std::string_view first_character(std::string_view text);  // empty of an empty text

enum class Side { left, right, both };
std::string_view strip(std::string_view text, Side side = Side::both);  // white space
std::string_view strip(std::string_view text, std::string_view characters, Side side);

// Words between white space; at most `splits` are cut off, from the left or from the right.
std::vector<std::string_view> split(std::string_view text, std::int64_t splits, Side from);
// Requires: `separator` is not empty.
std::vector<std::string_view> split(std::string_view text, std::string_view separator,
                                    std::int64_t splits, Side from);
std::vector<std::string_view> split_lines(std::string_view text, bool keeps_ends = false);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);

// `count` < 0: all.
std::string replace(Rendering& rendering, std::string_view text, std::string_view from,
                    std::string_view by, std::int64_t count);

// Is there a character, and has each of them the property?
bool all_characters(std::string_view text, const std::function<bool(char32_t)>& has);
// Has it letters of this case, and none of the other?
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);

}  // namespace sluice::worker::text::jinja
