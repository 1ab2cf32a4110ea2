// The part of the parser that reads expressions: {{ this }}, {% if this %}.
#pragma once

#include <string_view>
#include <vector>

#include "worker/text/jinja/syntax.h"
#include "worker/text/jinja/token_stream.h"

namespace sluice::worker::text::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  Expression expression();  // with `a if b else c`
  Expression condition();   // without: `if` may follow
  // One expression, or several with commas: a tuple.
  Expression tuple(bool with_conditional = true);
  std::vector<FilterUse> filters();  // name(...) | name
  // Names that a macro's body would take from its caller are refused while one is parsed.
  void set_in_macro(bool in_macro) { in_macro_ = in_macro; }

  // Blocks and expressions within each other.
  class Level {
   public:
    explicit Level(ExpressionParser& parser);
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    ExpressionParser& parser_;
  };

 private:
  Expression logic(bool is_and);
  Expression negation();
  Expression comparison();
  Expression operation(int precedence);
  Expression unary(bool with_filter = true);
  Expression primary();
  Expression name();
  Expression number();
  Expression list();
  Expression dict();
  Expression parenthesis();
  Expression postfix(Expression value);
  Expression subscript(Expression value);
  Expression bracket(Expression value);
  Expression call(Expression callee);
  Expression filtered(Expression value);
  Expression tested(Expression value);
  FilterUse filter_use();
  CallArguments call_arguments();
  void check_named_function(const Expression& callee) const;
  void check_applied_name(std::string_view filter, const CallArguments& arguments) const;

  template <class Node>
  Expression make(int line, Node node, int depth) const;

  TokenStream& tokens_;
  int level_ = 0;
  bool in_macro_ = false;
};

}  // namespace sluice::worker::text::jinja
