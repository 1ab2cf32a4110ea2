// From a template's text to its syntax. What is not supported is found here, before anything is
// rendered.
#pragma once

#include <string_view>

#include "worker/text/jinja/lexer.h"
#include "worker/text/jinja/syntax.h"

namespace sluice::worker::text::jinja {

// Throws SyntaxError, which names the construct. Requires: `source` is valid UTF-8.
Block parse(std::string_view source);

}  // namespace sluice::worker::text::jinja
