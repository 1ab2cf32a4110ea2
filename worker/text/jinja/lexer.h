// A template's text as tokens, with the white space gone that Jinja takes away (trim_blocks and
// lstrip_blocks, as transformers has them; the signs of {%- and +%}).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/error.h"

namespace sluice::worker::text::jinja {

// Of a template, before it is rendered.
class SyntaxError : public Error {
 public:
  SyntaxError(int line_number, const std::string& what) : Error(what), line(line_number) {}
  int line;
};

struct Token {
  enum class Kind {
    text,          // outside of tags
    output_begin,  // {{
    output_end,
    block_begin,  // {%
    block_end,
    name,
    string,  // its value
    integer,
    number,
    symbol,  // an operator, a bracket
    end
  };
  Kind kind = Kind::end;
  int line = 0;
  std::string text = {};
};

// Throws SyntaxError. Requires: `source` is valid UTF-8.
std::vector<Token> tokenize(std::string_view source);

}  // namespace sluice::worker::text::jinja
