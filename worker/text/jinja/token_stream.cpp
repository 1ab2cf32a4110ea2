#include "worker/text/jinja/token_stream.h"

#include <utility>

#include "worker/model/printable.h"

namespace sluice::worker::text::jinja {

Token TokenStream::take() {
  Token token = std::move(tokens_[at_]);
  if (at_ + 1 < tokens_.size()) {
    ++at_;
  } else {
    tokens_[at_] = {.kind = Token::Kind::end, .line = token.line};
  }
  return token;
}

bool TokenStream::is_symbol(std::string_view text) const {
  return is(Token::Kind::symbol) && now().text == text;
}
bool TokenStream::is_name(std::string_view text) const {
  return is(Token::Kind::name) && now().text == text;
}
bool TokenStream::skip_symbol(std::string_view text) {
  const bool there = is_symbol(text);
  if (there) take();
  return there;
}
bool TokenStream::skip_name(std::string_view text) {
  const bool there = is_name(text);
  if (there) take();
  return there;
}
void TokenStream::expect_symbol(std::string_view text) {
  if (!skip_symbol(text)) fail_expected("'" + std::string(text) + "'");
}
void TokenStream::expect_name(std::string_view text) {
  if (!skip_name(text)) fail_expected("'" + std::string(text) + "'");
}
std::string TokenStream::take_name() {
  if (!is(Token::Kind::name)) fail_expected("a name");
  return take().text;
}

void TokenStream::fail(const std::string& what) const { throw SyntaxError(now().line, what); }

void TokenStream::fail_expected(std::string_view what) const {
  const bool has_text = !now().text.empty() && !is(Token::Kind::text);
  fail("there should be " + std::string(what) + ", not " +
       (has_text ? model::printable(now().text) : std::string("the end of a tag or of the text")));
}

}  // namespace sluice::worker::text::jinja
