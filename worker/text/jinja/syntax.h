// A parsed template: expressions and statements, as the parser makes them and the evaluator reads
// them. Immutable; several threads may render it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "worker/text/jinja/filters.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/tests.h"
#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

struct Expression;
struct NamedArgument;
struct DictEntry;
struct ComparedTo;
using ExpressionPtr = std::unique_ptr<const Expression>;  // nullptr where it may be left out

struct CallArguments {
  std::vector<Expression> positional;
  std::vector<NamedArgument> named;
};
struct FilterUse {
  const Filter* filter;
  CallArguments arguments;
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListOf {
  std::vector<Expression> elements;
  bool is_tuple;
};
struct DictOf {
  std::vector<DictEntry> entries;
};
struct Not {
  ExpressionPtr operand;
};
struct Sign {
  ExpressionPtr operand;
  bool is_minus;
};
struct Logic {
  ExpressionPtr left, right;
  bool is_and;
};
struct Operation {
  Arithmetic operation;
  ExpressionPtr left, right;
};
struct Concatenation {
  std::vector<Expression> parts;
};
struct Comparisons {  // a < b < c
  ExpressionPtr first;
  std::vector<ComparedTo> rest;
};
struct Conditional {
  ExpressionPtr test, then, otherwise;
};
struct AttributeOf {
  ExpressionPtr object;
  std::string name;
};
struct ItemOf {
  ExpressionPtr object, key;
};
struct SliceOf {
  ExpressionPtr object, start, stop, step;
};
struct Filtered {
  ExpressionPtr input;
  FilterUse use;
};
struct Tested {
  ExpressionPtr input;
  const Test* test;
  CallArguments arguments;
};
struct CallOf {
  ExpressionPtr callee;
  CallArguments arguments;
};

struct Expression {
  int line;
  int depth;  // of expressions within each other
  std::variant<Literal, Name, ListOf, DictOf, Not, Sign, Logic, Operation, Concatenation,
               Comparisons, Conditional, AttributeOf, ItemOf, SliceOf, Filtered, Tested, CallOf>
      node;
};

struct NamedArgument {
  std::string name;
  Expression value;
};
struct DictEntry {
  Expression key, value;
};
struct ComparedTo {
  Comparison how;
  Expression operand;
};

struct Statement;
using Block = std::vector<Statement>;

struct Target {  // of an assignment: a, or a, b; or space.attribute
  std::vector<std::string> names;
  bool unpacks = false;
  std::string attribute = {};
};
struct Plain {
  std::string text;
};
struct Output {
  Expression value;
};
struct Branch {
  Expression test;
  Block block;
};
struct If {
  std::vector<Branch> branches;
  Block otherwise;
};
struct For {
  Target target;
  Expression iterable;
  std::optional<Expression> filter;
  Block body, otherwise;
};
struct Set {
  Target target;
  Expression value;
};
struct SetBlock {
  Target target;
  std::vector<FilterUse> filters;
  Block body;
};
struct FilterBlock {
  std::vector<FilterUse> filters;
  Block body;
};
struct With {  // with, and generation, which sets nothing
  std::vector<Set> sets;
  Block body;
};
struct Parameter {
  std::string name;
  std::optional<Expression> otherwise;
};
struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<Plain, Output, If, For, Set, SetBlock, FilterBlock, With, Macro, Break, Continue>
      node;
};

}  // namespace sluice::worker::text::jinja
