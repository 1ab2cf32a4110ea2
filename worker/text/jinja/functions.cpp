#include "worker/text/jinja/functions.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <string>
#include <utility>

#include "worker/text/jinja/arguments.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"

namespace sluice::worker::text::jinja {
namespace {

const std::string kNone;

Value range(Rendering& r, const Arguments& arguments) {
  constexpr std::int64_t kSizeMax = 100'000;  // Jinja's sandbox allows no more
  const Parameters p("range", arguments, {"start", "stop", "step"}, 1);
  const std::int64_t start = p[1] ? p.integer(0, 0) : 0;
  const std::int64_t stop = p[1] ? p.integer(1, 0) : p.integer(0, 0);
  const std::int64_t step = p.integer(2, 1);
  if (step == 0) fail("range: the step is 0");
  std::vector<Value> numbers;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (numbers.size() == kSizeMax) {
      fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
    }
    numbers.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return r.sequence(std::move(numbers), Sequence::Kind::range);
}

// dict(other, name=value): another dict, or a list of pairs, and what is named.
Dict dict_of(Rendering& r, const Arguments& arguments, std::string_view callee) {
  Dict dict;
  if (arguments.positional.size() > 1) fail(std::string(callee) + " takes one dict at most");
  for (const Value& other : arguments.positional) {
    const Value pairs = other.dict() ? dict_items(r, *other.dict(), Sequence::Kind::list) : other;
    for (const Value& pair : elements(r, pairs)) {
      const auto both = elements(r, pair);
      if (both.size() != 2) fail(std::string(callee) + " needs pairs of keys and values");
      r.spend(sizeof(Value));
      dict.set(both[0], both[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(r.text(name), value);
  return dict;
}

Value new_dict(Rendering& r, const Arguments& arguments) {
  return r.dict(dict_of(r, arguments, "dict"));
}

Value new_namespace(Rendering& r, const Arguments& arguments) {
  const Dict attributes = dict_of(r, arguments, "namespace");
  Namespace* space = r.new_namespace();
  for (const auto& [name, value] : attributes.entries) {
    if (!name.text()) fail("namespace needs texts as names");
    set_attribute(*space, *name.text(), value);
  }
  return space;
}

Value raise_exception(Rendering& r, const Arguments& arguments) {
  const Parameters p("raise_exception", arguments, {"message"}, 1);
  fail("the template refuses the conversation: " + str(r, *p[0]));
}

// Each conversion by itself: no format of foreign making goes to strftime.
Value strftime_now(Rendering& r, const Arguments& arguments) {
  const Parameters p("strftime_now", arguments, {"format"}, 1);
  const std::string& format = p.text(0, kNone);
  r.spend_product(format.size(), 16);
  std::string out;
  for (std::size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    std::string conversion = "%";
    if (at + 2 < format.size() && format[at + 1] == '-') conversion += format[++at];
    const char letter = ++at < format.size() ? format[at] : '\0';
    constexpr std::string_view kLetters = "aAbBcdDeFGhHIjklmMnpPrRStTuUVwWxXyY%C";
    if (letter == 'f') {
      out += "000000";
    } else if (letter == 'z' || letter == 'Z') {
      // The time is a local one, which does not know its zone.
    } else if (letter != '\0' && kLetters.find(letter) != std::string_view::npos) {
      std::array<char, 64> text{};
      conversion += letter;
      out.append(text.data(),
                 std::strftime(text.data(), text.size(), conversion.c_str(), &r.now()));
    } else {
      fail("strftime_now: a conversion of the format " + repr(r, *p[0]) + " is not supported");
    }
  }
  return r.text(std::move(out));
}

constexpr auto kFunctions = std::to_array<Function>({
    {"dict", new_dict},
    {"namespace", new_namespace},
    {"raise_exception", raise_exception},
    {"range", range},
    {"strftime_now", strftime_now},
});

}  // namespace

std::span<const Function> functions() { return kFunctions; }

bool is_missing_function(std::string_view name) {
  return name == "lipsum" || name == "cycler" || name == "joiner";
}

}  // namespace sluice::worker::text::jinja
