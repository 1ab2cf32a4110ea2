#include "worker/text/jinja/number.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "worker/text/jinja/python_text.h"

namespace sluice::worker::text::jinja {
namespace {

[[noreturn]] void overflow() { fail("an integer is beyond 64 bits"); }

std::int64_t calculate(Arithmetic operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Arithmetic::add:
      if (__builtin_add_overflow(a, b, &result)) overflow();
      return result;
    case Arithmetic::subtract:
      if (__builtin_sub_overflow(a, b, &result)) overflow();
      return result;
    case Arithmetic::multiply:
      if (__builtin_mul_overflow(a, b, &result)) overflow();
      return result;
    case Arithmetic::floor_divide:
      if (b == 0) fail("integer division or modulo by zero");
      if (b == -1) return calculate(Arithmetic::subtract, 0, a);
      return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
    case Arithmetic::modulo:
      if (b == 0) fail("integer division or modulo by zero");
      if (b == -1) return 0;
      return a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
    case Arithmetic::power:
      result = 1;
      for (std::int64_t base = a; b > 0; b >>= 1) {
        if (b & 1) result = calculate(Arithmetic::multiply, result, base);
        if (b > 1) base = calculate(Arithmetic::multiply, base, base);
      }
      return result;
    case Arithmetic::divide:
      break;
  }
  return 0;  // never: divide gives floats
}

double modulo(double a, double b) {
  if (b == 0) fail("float modulo by zero");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_divide(double a, double b) {
  const double quotient = (a - modulo(a, b)) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

double calculate(Arithmetic operation, double a, double b) {
  switch (operation) {
    case Arithmetic::add:
      return a + b;
    case Arithmetic::subtract:
      return a - b;
    case Arithmetic::multiply:
      return a * b;
    case Arithmetic::divide:
      if (b == 0) fail("division by zero");
      return a / b;
    case Arithmetic::floor_divide:
      return floor_divide(a, b);
    case Arithmetic::modulo:
      return modulo(a, b);
    case Arithmetic::power:
      break;
  }
  if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  if (a < 0 && std::floor(b) != b) fail("a power that is a complex number is not supported");
  const double power = std::pow(a, b);
  if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) fail("a float is too large");
  return power;
}

// "1_000" -> "1000"; nullopt where an underscore is not between digits.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto is_digit = [&](std::size_t at) {
      return at < text.size() && std::isxdigit(static_cast<unsigned char>(text[at]));
    };
    if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) return std::nullopt;
  }
  return out;
}

}  // namespace

std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* integer = value.as<std::int64_t>()) return *integer;
  if (const bool* truth = value.as<bool>()) return *truth ? 1 : 0;
  return std::nullopt;
}

std::optional<double> as_number(const Value& value) {
  if (const double* number = value.as<double>()) return *number;
  if (const auto integer = as_integer(value)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::string repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto written = [&](std::chars_format format) {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
    return std::string(buffer.data(), end.ptr);
  };
  std::string scientific = written(std::chars_format::scientific);
  const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return scientific;
  const std::string fixed = written(std::chars_format::fixed);
  return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  auto digits = without_underscores(strip(text));
  if (!digits || base < 2 || base > 36) return std::nullopt;
  const bool has_sign = digits->starts_with('-') || digits->starts_with('+');
  const bool negative = digits->starts_with('-');
  if (has_sign) digits->erase(0, 1);
  const std::string prefix = digits->substr(0, 2);
  if ((base == 16 && (prefix == "0x" || prefix == "0X")) ||
      (base == 8 && (prefix == "0o" || prefix == "0O")) ||
      (base == 2 && (prefix == "0b" || prefix == "0B"))) {
    digits->erase(0, 2);
  }
  if (digits->empty() || digits->front() == '-') return std::nullopt;
  if (negative) digits->insert(0, "-");
  std::int64_t integer = 0;
  const char* end = digits->data() + digits->size();
  const auto [at, error] = std::from_chars(digits->data(), end, integer, base);
  if (at != end) return std::nullopt;
  if (error == std::errc::result_out_of_range) overflow();
  if (error != std::errc()) return std::nullopt;
  return integer;
}

std::optional<double> parse_number(std::string_view text) {
  auto digits = without_underscores(strip(text));
  if (!digits) return std::nullopt;
  if (digits->starts_with('+')) digits->erase(0, 1);
  if (digits->starts_with('+') || digits->find('(') != std::string::npos) return std::nullopt;
  double number = 0;
  const char* end = digits->data() + digits->size();
  const auto [at, error] = std::from_chars(digits->data(), end, number);
  if (error == std::errc::result_out_of_range && at == end) {
    return std::strtod(digits->c_str(), nullptr);  // 0 or infinity
  }
  if (error != std::errc() || at != end) return std::nullopt;
  return number;
}

std::int64_t truncate(double number) {
  if (!(std::abs(number) < 0x1p63)) overflow();
  return static_cast<std::int64_t>(number);
}

double round_half_even(double number, int digits) {
  constexpr int kDigitsMax = 330;  // no float has more behind the point that matter
  if (!std::isfinite(number) || digits > kDigitsMax) return number;
  if (digits < 0) {
    const double unit = std::pow(10.0, -digits);
    return std::isinf(unit) ? std::copysign(0.0, number) : std::nearbyint(number / unit) * unit;
  }
  std::array<char, 700> text{};  // 309 digits before the point
  std::snprintf(text.data(), text.size(), "%.*f", digits, number);
  return std::strtod(text.data(), nullptr);
}

Value calculate(Arithmetic operation, const Value& left, const Value& right) {
  const auto a = as_integer(left), b = as_integer(right);
  const bool gives_float =
      operation == Arithmetic::divide || (operation == Arithmetic::power && b && *b < 0);
  if (a && b && !gives_float) return calculate(operation, *a, *b);
  return calculate(operation, as_number(left).value(), as_number(right).value());
}

Value negate(const Value& value) {
  if (const double* number = value.as<double>()) return -*number;
  return calculate(Arithmetic::subtract, 0, as_integer(value).value());
}

}  // namespace sluice::worker::text::jinja
