// The arguments of one call, by the parameters of what is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

class Parameters {
 public:
  // `names` of the parameters in their order; the first `required` must be given. Throws
  // worker::Error: too few or too many, one twice, a name that is none. `arguments` must live on.
  Parameters(std::string_view callee, const Arguments& arguments,
             std::initializer_list<std::string_view> names, std::size_t required = 0);

  const Value* operator[](std::size_t i) const { return values_[i]; }  // nullptr: not given
  bool has(std::size_t i) const { return values_[i] && !values_[i]->is<None>(); }

  // What is not given, or none, is `otherwise`; throw worker::Error for another type.
  bool truth(std::size_t i, bool otherwise) const;
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
  const std::string& text(std::size_t i, const std::string& otherwise) const;

 private:
  [[noreturn]] void refuse(std::size_t i, std::string_view type) const;

  std::string_view callee_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

}  // namespace sluice::worker::text::jinja
