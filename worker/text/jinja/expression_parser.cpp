#include "worker/text/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "worker/model/printable.h"
#include "worker/text/jinja/functions.h"
#include "worker/text/jinja/methods.h"
#include "worker/text/jinja/number.h"

namespace sluice::worker::text::jinja {
namespace {

using Kind = Token::Kind;

constexpr int kLevelsMax = 100;  // of the text
constexpr int kDepthMax = 200;   // of the tree, in which a + b + c is deep too

ExpressionPtr box(Expression expression) {
  return std::make_unique<const Expression>(std::move(expression));
}

Expression literal(int line, Value value) {
  return {.line = line, .depth = 1, .node = Literal{std::move(value)}};
}

Value text_value(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

int depth_of(const std::vector<Expression>& expressions) {
  int depth = 0;
  for (const Expression& expression : expressions) depth = std::max(depth, expression.depth);
  return depth;
}

int depth_of(const CallArguments& arguments) {
  int depth = depth_of(arguments.positional);
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, value.depth);
  return depth;
}

const std::string* text_of(const Expression& expression) {
  const auto* constant = std::get_if<Literal>(&expression.node);
  return constant ? constant->value.text() : nullptr;
}

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

struct Symbol {
  std::string_view text;
  Arithmetic operation;
};
constexpr std::array kSums = {Symbol{"+", Arithmetic::add}, Symbol{"-", Arithmetic::subtract}};
constexpr std::array kProducts = {
    Symbol{"*", Arithmetic::multiply}, Symbol{"/", Arithmetic::divide},
    Symbol{"//", Arithmetic::floor_divide}, Symbol{"%", Arithmetic::modulo}};
constexpr std::array kPowers = {Symbol{"**", Arithmetic::power}};
enum Precedence { kSum, kConcatenation, kProduct, kPower, kUnary };

std::span<const Symbol> symbols_of(int precedence) {
  if (precedence == kSum) return kSums;
  if (precedence == kProduct) return kProducts;
  return kPowers;
}

}  // namespace

ExpressionParser::Level::Level(ExpressionParser& parser) : parser_(parser) {
  if (parser_.level_ >= kLevelsMax) {
    parser_.tokens_.fail("blocks or expressions are nested more than " +
                         std::to_string(kLevelsMax) + " deep");
  }
  ++parser_.level_;
}

template <class Node>
Expression ExpressionParser::make(int line, Node node, int depth) const {
  if (depth >= kDepthMax) {
    throw SyntaxError(line, "an expression has more than " + std::to_string(kDepthMax) +
                                " operations on the results of each other");
  }
  return {.line = line, .depth = depth + 1, .node = std::move(node)};
}

Expression ExpressionParser::expression() {
  const Level level(*this);
  Expression value = condition();
  while (tokens_.is_name("if")) {
    const int line = tokens_.take().line;
    ExpressionPtr then = box(std::move(value)), test = box(condition()), otherwise;
    if (tokens_.skip_name("else")) otherwise = box(expression());
    const int depth = std::max({then->depth, test->depth, otherwise ? otherwise->depth : 0});
    value = make(line, Conditional{std::move(test), std::move(then), std::move(otherwise)}, depth);
  }
  return value;
}

Expression ExpressionParser::condition() { return logic(false); }

Expression ExpressionParser::logic(bool is_and) {
  Expression left = is_and ? negation() : logic(true);
  while (tokens_.is_name(is_and ? "and" : "or")) {
    const int line = tokens_.take().line;
    Expression right = is_and ? negation() : logic(true);
    const int depth = std::max(left.depth, right.depth);
    left = make(line, Logic{box(std::move(left)), box(std::move(right)), is_and}, depth);
  }
  return left;
}

Expression ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const Level level(*this);
  const int line = tokens_.take().line;
  Expression operand = negation();
  const int depth = operand.depth;
  return make(line, Not{box(std::move(operand))}, depth);
}

Expression ExpressionParser::comparison() {
  const auto take_sign = [&]() -> std::optional<Comparison> {
    constexpr std::array<std::pair<std::string_view, Comparison>, 6> kSigns = {
        {{"==", Comparison::equal},
         {"!=", Comparison::not_equal},
         {"<", Comparison::less},
         {"<=", Comparison::less_equal},
         {">", Comparison::greater},
         {">=", Comparison::greater_equal}}};
    for (const auto& [text, sign] : kSigns) {
      if (tokens_.skip_symbol(text)) return sign;
    }
    if (tokens_.skip_name("in")) return Comparison::in;
    const Token& next = tokens_.next();
    if (tokens_.is_name("not") && next.kind == Kind::name && next.text == "in") {
      tokens_.take();
      tokens_.take();
      return Comparison::not_in;
    }
    return std::nullopt;
  };
  const int line = tokens_.now().line;
  Expression first = operation(kSum);
  int depth = first.depth;
  std::vector<ComparedTo> rest;
  while (const auto sign = take_sign()) {
    rest.push_back({*sign, operation(kSum)});
    depth = std::max(depth, rest.back().operand.depth);
  }
  if (rest.empty()) return first;
  return make(line, Comparisons{box(std::move(first)), std::move(rest)}, depth);
}

Expression ExpressionParser::operation(int precedence) {
  if (precedence == kUnary) return unary();
  Expression left = operation(precedence + 1);
  if (precedence == kConcatenation) {
    if (!tokens_.is_symbol("~")) return left;
    const int line = tokens_.now().line;
    std::vector<Expression> parts;
    parts.push_back(std::move(left));
    while (tokens_.skip_symbol("~")) parts.push_back(operation(precedence + 1));
    const int depth = depth_of(parts);
    return make(line, Concatenation{std::move(parts)}, depth);
  }
  const auto symbols = symbols_of(precedence);
  for (;;) {
    const auto found = std::ranges::find_if(
        symbols, [&](const Symbol& symbol) { return tokens_.is_symbol(symbol.text); });
    if (found == symbols.end()) return left;
    const int line = tokens_.take().line;
    Expression right = operation(precedence + 1);
    const int depth = std::max(left.depth, right.depth);
    left =
        make(line, Operation{found->operation, box(std::move(left)), box(std::move(right))}, depth);
  }
}

Expression ExpressionParser::unary(bool with_filter) {
  if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
    const Level level(*this);
    const bool is_minus = tokens_.is_symbol("-");
    const int line = tokens_.take().line;
    Expression operand = unary(false);
    const int depth = operand.depth;
    Expression value = postfix(make(line, Sign{box(std::move(operand)), is_minus}, depth));
    return with_filter ? filtered(std::move(value)) : std::move(value);
  }
  Expression value = postfix(primary());
  return with_filter ? filtered(std::move(value)) : std::move(value);
}

Expression ExpressionParser::primary() {
  const int line = tokens_.now().line;
  switch (tokens_.now().kind) {
    case Kind::name:
      return name();
    case Kind::integer:
    case Kind::number:
      return number();
    case Kind::string: {
      std::string text;
      while (tokens_.is(Kind::string)) text += tokens_.take().text;
      return literal(line, text_value(std::move(text)));
    }
    default:
      break;
  }
  if (tokens_.is_symbol("[")) return list();
  if (tokens_.is_symbol("{")) return dict();
  if (tokens_.is_symbol("(")) return parenthesis();
  tokens_.fail_expected("a value");
}

Expression ExpressionParser::name() {
  Token token = tokens_.take();
  const std::string& text = token.text;
  if (text == "true" || text == "True") return literal(token.line, true);
  if (text == "false" || text == "False") return literal(token.line, false);
  if (text == "none" || text == "None") return literal(token.line, None());
  const bool is_special = text == "varargs" || text == "kwargs" || text == "caller";
  if (in_macro_ && is_special) {
    throw SyntaxError(token.line, quoted(text) + " within a macro is not supported");
  }
  return {.line = token.line, .depth = 1, .node = Name{std::move(token.text)}};
}

Expression ExpressionParser::number() {
  const Token token = tokens_.take();
  try {
    if (token.kind == Kind::number) return literal(token.line, parse_number(token.text).value());
    return literal(token.line, parse_integer(token.text).value());
  } catch (const Error& error) {
    throw SyntaxError(token.line, error.what());
  }
}

Expression ExpressionParser::list() {
  const int line = tokens_.take().line;
  std::vector<Expression> elements;
  while (!tokens_.skip_symbol("]")) {
    if (!elements.empty()) {
      tokens_.expect_symbol(",");
      if (tokens_.skip_symbol("]")) break;
    }
    elements.push_back(expression());
  }
  const int depth = depth_of(elements);
  return make(line, ListOf{std::move(elements), false}, depth);
}

Expression ExpressionParser::dict() {
  const int line = tokens_.take().line;
  std::vector<DictEntry> entries;
  int depth = 0;
  while (!tokens_.skip_symbol("}")) {
    if (!entries.empty()) {
      tokens_.expect_symbol(",");
      if (tokens_.skip_symbol("}")) break;
    }
    Expression key = expression();
    tokens_.expect_symbol(":");
    Expression value = expression();
    depth = std::max({depth, key.depth, value.depth});
    entries.push_back({std::move(key), std::move(value)});
  }
  return make(line, DictOf{std::move(entries)}, depth);
}

Expression ExpressionParser::parenthesis() {
  const int line = tokens_.take().line;
  if (tokens_.skip_symbol(")")) return make(line, ListOf{{}, true}, 0);
  Expression value = tuple();
  tokens_.expect_symbol(")");
  return value;
}

Expression ExpressionParser::tuple(bool with_conditional) {
  const Level level(*this);
  const int line = tokens_.now().line;
  const auto ends = [&] {
    return tokens_.is(Kind::output_end) || tokens_.is(Kind::block_end) || tokens_.is_symbol(")") ||
           tokens_.is_name("recursive");
  };
  std::vector<Expression> elements;
  bool is_tuple = false;
  do {
    if (is_tuple && ends()) break;
    elements.push_back(with_conditional ? expression() : condition());
    is_tuple = is_tuple || tokens_.is_symbol(",");
  } while (tokens_.skip_symbol(","));
  if (!is_tuple) return std::move(elements.front());
  const int depth = depth_of(elements);
  return make(line, ListOf{std::move(elements), true}, depth);
}

Expression ExpressionParser::postfix(Expression value) {
  for (;;) {
    if (tokens_.is_symbol(".") || tokens_.is_symbol("[")) {
      value = subscript(std::move(value));
    } else if (tokens_.is_symbol("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::subscript(Expression value) {
  const int line = tokens_.now().line, depth = value.depth;
  if (!tokens_.skip_symbol(".")) return bracket(std::move(value));
  if (tokens_.is(Kind::integer)) {
    ExpressionPtr object = box(std::move(value));
    return make(line, ItemOf{std::move(object), box(number())}, depth);
  }
  std::string attribute = tokens_.take_name();
  return make(line, AttributeOf{box(std::move(value)), std::move(attribute)}, depth);
}

Expression ExpressionParser::bracket(Expression value) {
  const int line = tokens_.take().line;
  int depth = value.depth;
  const auto part = [&]() -> ExpressionPtr {
    if (tokens_.is_symbol(":") || tokens_.is_symbol("]")) return nullptr;
    ExpressionPtr bound = box(expression());
    depth = std::max(depth, bound->depth);
    return bound;
  };
  ExpressionPtr object = box(std::move(value)), start = part(), stop, step;
  const bool is_slice = tokens_.skip_symbol(":");
  if (is_slice) {
    stop = part();
    if (tokens_.skip_symbol(":")) step = part();
  } else if (!start) {
    tokens_.fail_expected("a key");
  }
  if (tokens_.is_symbol(",")) tokens_.fail("several keys in brackets are not supported");
  tokens_.expect_symbol("]");
  if (!is_slice) return make(line, ItemOf{std::move(object), std::move(start)}, depth);
  return make(line, SliceOf{std::move(object), std::move(start), std::move(stop), std::move(step)},
              depth);
}

Expression ExpressionParser::call(Expression callee) {
  const int line = tokens_.now().line;
  check_named_function(callee);
  CallArguments arguments = call_arguments();
  const int depth = std::max(callee.depth, depth_of(arguments));
  return make(line, CallOf{box(std::move(callee)), std::move(arguments)}, depth);
}

void ExpressionParser::check_named_function(const Expression& callee) const {
  if (const auto* name = std::get_if<Name>(&callee.node); name && is_missing_function(name->name)) {
    throw SyntaxError(callee.line, "the function " + quoted(name->name) + " is not supported");
  }
  const auto* method = std::get_if<AttributeOf>(&callee.node);
  if (method && !is_method_name(method->name)) {
    throw SyntaxError(callee.line, "the method " + quoted(method->name) + " is not supported");
  }
}

CallArguments ExpressionParser::call_arguments() {
  tokens_.expect_symbol("(");
  CallArguments arguments;
  bool is_first = true;
  while (!tokens_.skip_symbol(")")) {
    if (!std::exchange(is_first, false)) {
      tokens_.expect_symbol(",");
      if (tokens_.skip_symbol(")")) break;
    }
    if (tokens_.is_symbol("*") || tokens_.is_symbol("**")) {
      tokens_.fail("arguments with " + tokens_.now().text + " are not supported");
    }
    const Token& next = tokens_.next();
    if (tokens_.is(Kind::name) && next.kind == Kind::symbol && next.text == "=") {
      std::string name = tokens_.take_name();
      tokens_.take();
      const bool twice = std::ranges::any_of(
          arguments.named, [&](const auto& argument) { return argument.name == name; });
      if (twice) tokens_.fail("the argument " + quoted(name) + " is given twice");
      arguments.named.push_back({std::move(name), expression()});
    } else {
      if (!arguments.named.empty()) tokens_.fail("a positional argument is behind a named one");
      arguments.positional.push_back(expression());
    }
  }
  return arguments;
}

Expression ExpressionParser::filtered(Expression value) {
  for (;;) {
    if (tokens_.is_symbol("|")) {
      const int line = tokens_.take().line;
      FilterUse use = filter_use();
      const int depth = std::max(value.depth, depth_of(use.arguments));
      value = make(line, Filtered{box(std::move(value)), std::move(use)}, depth);
    } else if (tokens_.is_name("is")) {
      value = tested(std::move(value));
    } else if (tokens_.is_symbol("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

std::vector<FilterUse> ExpressionParser::filters() {
  std::vector<FilterUse> uses;
  do {
    uses.push_back(filter_use());
  } while (tokens_.skip_symbol("|"));
  return uses;
}

FilterUse ExpressionParser::filter_use() {
  const int line = tokens_.now().line;
  std::string name = tokens_.take_name();
  while (tokens_.skip_symbol(".")) name += "." + tokens_.take_name();
  const Filter* filter = find_filter(name);
  if (!filter) throw SyntaxError(line, "the filter " + quoted(name) + " is not supported");
  FilterUse use{.filter = filter, .arguments = {}};
  if (tokens_.is_symbol("(")) use.arguments = call_arguments();
  check_applied_name(name, use.arguments);
  return use;
}

// map("upper"), selectattr("role", "equalto", ...): the name must be written out, of one that is.
void ExpressionParser::check_applied_name(std::string_view filter,
                                          const CallArguments& arguments) const {
  const bool is_map = filter == "map";
  const bool by_attribute = filter == "selectattr" || filter == "rejectattr";
  if (!is_map && !by_attribute && filter != "select" && filter != "reject") return;
  const std::size_t at = by_attribute ? 1 : 0;
  if (arguments.positional.size() <= at) return;
  const std::string* name = text_of(arguments.positional[at]);
  const std::string kind = is_map ? "filter" : "test";
  if (!name) tokens_.fail("a " + kind + " that is named by an expression is not supported");
  if (is_map ? !find_filter(*name) : !find_test(*name)) {
    tokens_.fail("the " + kind + " " + quoted(model::printable(*name)) + " is not supported");
  }
}

Expression ExpressionParser::tested(Expression value) {
  const int line = tokens_.take().line;
  const bool negated = tokens_.skip_name("not");
  const std::string name = tokens_.take_name();
  const Test* test = find_test(name);
  if (!test) throw SyntaxError(line, "the test " + quoted(name) + " is not supported");
  CallArguments arguments;
  const bool has_operand = tokens_.is(Kind::name) || tokens_.is(Kind::string) ||
                           tokens_.is(Kind::integer) || tokens_.is(Kind::number) ||
                           tokens_.is_symbol("[") || tokens_.is_symbol("{");
  const bool is_word = tokens_.is_name("else") || tokens_.is_name("or") || tokens_.is_name("and");
  if (tokens_.is_symbol("(")) {
    arguments = call_arguments();
  } else if (has_operand && !is_word) {
    if (tokens_.is_name("is")) tokens_.fail("tests in a row, is ... is, are not supported");
    const Level level(*this);
    arguments.positional.push_back(postfix(primary()));
  }
  const int depth = std::max(value.depth, depth_of(arguments));
  Expression result = make(line, Tested{box(std::move(value)), test, std::move(arguments)}, depth);
  if (!negated) return result;
  return make(line, Not{box(std::move(result))}, depth + 1);
}

}  // namespace sluice::worker::text::jinja
