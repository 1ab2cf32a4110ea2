// Numbers as Python has them: integers of 64 bits here, floor division, texts of floats.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

std::optional<std::int64_t> as_integer(const Value& value);  // of an int or a bool
std::optional<double> as_number(const Value& value);         // of a float too

std::string repr(double number);  // the shortest text that reads back: 0.1, 1e+16, inf

// int("...") and float("..."), with white space around; nullopt where Python raises ValueError.
// Throws worker::Error: an integer beyond 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base = 10);
std::optional<double> parse_number(std::string_view text);
std::int64_t truncate(double number);  // int(number); throws worker::Error beyond 64 bits

double round_half_even(double number, int digits);  // round(number, digits)

enum class Arithmetic { add, subtract, multiply, divide, floor_divide, modulo, power };

// Of two numbers; throws worker::Error: division by zero, an integer beyond 64 bits.
Value calculate(Arithmetic operation, const Value& left, const Value& right);
Value negate(const Value& value);

}  // namespace sluice::worker::text::jinja
