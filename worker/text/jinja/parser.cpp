#include "worker/text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>

#include "worker/text/jinja/expression_parser.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Token::Kind;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Block whole() {
    Block statements = block({});
    if (!tokens_.is(Kind::end)) unexpected();
    return statements;
  }

 private:
  // A macro may stand where what it defines is seen to the end: outside of what has variables of
  // its own.
  class Inner {
   public:
    explicit Inner(Parser& parser) : parser_(parser) { ++parser_.scopes_; }
    ~Inner() { --parser_.scopes_; }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Parser& parser_;
  };

  // Until {% and one of `ends`, or the end of the text.
  Block block(std::initializer_list<std::string_view> ends) {
    const ExpressionParser::Level level(expressions_);
    Block statements;
    for (;;) {
      const int line = tokens_.now().line;
      if (tokens_.is(Kind::text)) {
        statements.push_back({line, Plain{tokens_.take().text}});
      } else if (tokens_.is(Kind::output_begin)) {
        tokens_.take();
        statements.push_back({line, Output{expressions_.tuple()}});
        if (!tokens_.is(Kind::output_end)) tokens_.fail_expected("'}}'");
        tokens_.take();
      } else if (tokens_.is(Kind::block_begin)) {
        if (std::ranges::find(ends, tokens_.next().text) != ends.end()) return statements;
        tokens_.take();
        statements.push_back(statement(line));
      } else {
        return statements;
      }
    }
  }

  // A block, its end tag and, of several possible, which one it was.
  Block body(std::initializer_list<std::string_view> ends, std::string& end) {
    Block statements = block(ends);
    if (!tokens_.is(Kind::block_begin)) {
      tokens_.fail_expected("{% " + std::string(*(ends.end() - 1)) + " %}");
    }
    tokens_.take();
    end = tokens_.take_name();
    return statements;
  }

  Block body(std::string_view end) {
    std::string found;
    Block statements = body({end}, found);
    end_tag();
    return statements;
  }

  void end_tag() {
    if (!tokens_.is(Kind::block_end)) tokens_.fail_expected("'%}'");
    tokens_.take();
  }

  [[noreturn]] void unexpected() const {
    tokens_.fail("{% " + tokens_.next().text + " %} is not supported here");
  }

  Statement statement(int line) {
    const std::string name = tokens_.is(Kind::name) ? tokens_.now().text : "";
    if (name.empty()) tokens_.fail_expected("the name of a statement");
    tokens_.take();
    if (name == "if") return {line, branches()};
    if (name == "for") return {line, loop()};
    if (name == "set") return set(line);
    if (name == "macro") return {line, macro(line)};
    if (name == "filter") return {line, filter_block()};
    if (name == "with") return {line, with()};
    if (name == "generation") {
      end_tag();
      const Inner inner(*this);
      return {line, With{{}, body("endgeneration")}};
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) throw SyntaxError(line, "{% " + name + " %} is outside of a for loop");
      end_tag();
      if (name == "break") return {line, Break{}};
      return {line, Continue{}};
    }
    throw SyntaxError(line, "the statement \"" + name.substr(0, 50) + "\" is not supported");
  }

  If branches() {
    If result;
    std::string end = "elif";
    while (end == "elif") {
      Expression test = expressions_.tuple(false);
      end_tag();
      Block statements = body({"elif", "else", "endif"}, end);
      result.branches.push_back({std::move(test), std::move(statements)});
    }
    end_tag();
    if (end == "else") result.otherwise = body("endif");
    return result;
  }

  For loop() {
    Target target = names();
    tokens_.expect_name("in");
    Expression iterable = expressions_.tuple(false);
    std::optional<Expression> filter;
    if (tokens_.skip_name("if")) filter = expressions_.expression();
    if (tokens_.is_name("recursive")) tokens_.fail("a recursive for loop is not supported");
    end_tag();
    const Inner inner(*this);
    std::string end;
    ++loops_;
    Block statements = body({"else", "endfor"}, end);
    --loops_;
    end_tag();
    Block otherwise = end == "else" ? body("endfor") : Block();
    return {.target = std::move(target),
            .iterable = std::move(iterable),
            .filter = std::move(filter),
            .body = std::move(statements),
            .otherwise = std::move(otherwise)};
  }

  std::string assigned_name() {
    std::string name = tokens_.take_name();
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) tokens_.fail("nothing can be assigned to " + name);
    }
    return name;
  }

  // a, or a, b, or (a, b).
  Target names() {
    Target target;
    const bool in_parentheses = tokens_.skip_symbol("(");
    do {
      if (tokens_.is_symbol("(")) {
        tokens_.fail("names in parentheses within others are not supported");
      }
      if (!target.names.empty() && !tokens_.is(Kind::name)) break;  // a comma at the end
      target.names.push_back(assigned_name());
      target.unpacks = target.unpacks || tokens_.is_symbol(",");
    } while (tokens_.skip_symbol(","));
    if (in_parentheses) tokens_.expect_symbol(")");
    return target;
  }

  Statement set(int line) {
    Target target = names();
    if (!target.unpacks && tokens_.skip_symbol(".")) target.attribute = tokens_.take_name();
    if (tokens_.skip_symbol("=")) {
      Set assignment{.target = std::move(target), .value = expressions_.tuple()};
      end_tag();
      return {line, std::move(assignment)};
    }
    SetBlock assignment{.target = std::move(target), .filters = {}, .body = {}};
    if (tokens_.skip_symbol("|")) assignment.filters = expressions_.filters();
    end_tag();
    const Inner inner(*this);
    assignment.body = body("endset");
    return {line, std::move(assignment)};
  }

  FilterBlock filter_block() {
    FilterBlock result;
    result.filters = expressions_.filters();
    end_tag();
    const Inner inner(*this);
    result.body = body("endfilter");
    return result;
  }

  With with() {
    With result;
    while (!tokens_.is(Kind::block_end)) {
      if (!result.sets.empty()) tokens_.expect_symbol(",");
      Target target{.names = {assigned_name()}};
      tokens_.expect_symbol("=");
      result.sets.push_back({std::move(target), expressions_.expression()});
    }
    end_tag();
    const Inner inner(*this);
    result.body = body("endwith");
    return result;
  }

  Macro macro(int line) {
    if (scopes_ > 0) {
      throw SyntaxError(line, "a macro within a loop, a macro or another block is not supported");
    }
    Macro result{.name = tokens_.take_name(), .parameters = {}, .body = {}};
    tokens_.expect_symbol("(");
    while (!tokens_.skip_symbol(")")) {
      if (!result.parameters.empty()) tokens_.expect_symbol(",");
      std::string name = assigned_name();
      std::optional<Expression> otherwise;
      if (tokens_.skip_symbol("=")) {
        otherwise = expressions_.expression();
      } else if (!result.parameters.empty() && result.parameters.back().otherwise) {
        tokens_.fail("a parameter without a default is behind one with a default");
      }
      result.parameters.push_back({std::move(name), std::move(otherwise)});
    }
    end_tag();
    const Inner inner(*this);
    const int loops_around = std::exchange(loops_, 0);
    expressions_.set_in_macro(true);
    result.body = body("endmacro");
    expressions_.set_in_macro(false);
    loops_ = loops_around;
    return result;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int scopes_ = 0, loops_ = 0;  // around what is parsed
};

}  // namespace

Block parse(std::string_view source) { return Parser(source).whole(); }

}  // namespace sluice::worker::text::jinja
