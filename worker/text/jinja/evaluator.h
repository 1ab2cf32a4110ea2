// Renders a parsed template.
#pragma once

#include <map>
#include <string>

#include "worker/error.h"
#include "worker/text/jinja/syntax.h"

namespace sluice::worker::text::jinja {

// While a template is rendered.
class RenderError : public Error {
 public:
  RenderError(int line_number, const std::string& what) : Error(what), line(line_number) {}
  int line;  // of the template
};

using Variables = std::map<std::string, Value, std::less<>>;

// `variables` come before the functions that every template has. Throws RenderError.
std::string render(Rendering& rendering, const Block& block, const Variables& variables);

}  // namespace sluice::worker::text::jinja
