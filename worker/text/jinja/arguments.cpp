#include "worker/text/jinja/arguments.h"

#include <algorithm>

#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"

namespace sluice::worker::text::jinja {

Parameters::Parameters(std::string_view callee, const Arguments& arguments,
                       std::initializer_list<std::string_view> names, std::size_t required)
    : callee_(callee), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    fail(std::string(callee) + " takes at most " + std::to_string(names.size()) +
         " arguments, not " + std::to_string(arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = &arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const auto i = static_cast<std::size_t>(std::ranges::find(names_, name) - names_.begin());
    if (i == names_.size()) fail(std::string(callee) + " has no argument '" + name + "'");
    if (values_[i]) fail(std::string(callee) + " is given '" + name + "' twice");
    values_[i] = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!values_[i])
      fail(std::string(callee) + " needs the argument '" + std::string(names_[i]) + "'");
  }
}

bool Parameters::truth(std::size_t i, bool otherwise) const {
  return values_[i] ? is_true(*values_[i]) : otherwise;
}

std::int64_t Parameters::integer(std::size_t i, std::int64_t otherwise) const {
  if (!has(i)) return otherwise;
  if (const auto integer = as_integer(*values_[i])) return *integer;
  refuse(i, "an integer");
}

const std::string& Parameters::text(std::size_t i, const std::string& otherwise) const {
  if (!has(i)) return otherwise;
  if (const std::string* text = values_[i]->text()) return *text;
  refuse(i, "a text");
}

void Parameters::refuse(std::size_t i, std::string_view type) const {
  if (const auto* undefined = values_[i]->as<Undefined>()) fail(*undefined->why);
  fail("the argument '" + std::string(names_[i]) + "' of " + std::string(callee_) + " must be " +
       std::string(type) + ", not a " + type_name(*values_[i]));
}

}  // namespace sluice::worker::text::jinja
