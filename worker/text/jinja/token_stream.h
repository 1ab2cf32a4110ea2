// The tokens of a template, taken one after another by the parser.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/text/jinja/lexer.h"

namespace sluice::worker::text::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[at_ + (at_ + 1 < tokens_.size() ? 1 : 0)]; }
  Token take();

  bool is(Token::Kind kind) const { return now().kind == kind; }
  bool is_symbol(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool skip_symbol(std::string_view text);  // was it there?
  bool skip_name(std::string_view text);
  void expect_symbol(std::string_view text);
  void expect_name(std::string_view text);
  std::string take_name();  // any

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail_expected(std::string_view what) const;

 private:
  std::vector<Token> tokens_;  // the last is the end
  std::size_t at_ = 0;
};

}  // namespace sluice::worker::text::jinja
