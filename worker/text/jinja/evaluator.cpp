#include "worker/text/jinja/evaluator.h"

#include <algorithm>
#include <utility>

#include "worker/text/jinja/functions.h"
#include "worker/text/jinja/methods.h"
#include "worker/text/jinja/python_text.h"

namespace sluice::worker::text::jinja {
namespace {

// Variables, and where to look for those that are not among them.
struct Scope {
  explicit Scope(const Scope* outer) : around(outer) {}
  const Scope* around;
  Variables variables = {};

  void set(std::string_view name, Value value) {
    variables.insert_or_assign(std::string(name), std::move(value));
  }
  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope; scope = scope->around) {
      const auto found = scope->variables.find(name);
      if (found != scope->variables.end()) return &found->second;
    }
    return nullptr;
  }
};

enum class Flow { on, next_round, leave_loop };  // what a statement does to the loop around it

class Evaluator {
 public:
  Evaluator(Rendering& rendering, const Variables& variables)
      : rendering_(rendering), root_(nullptr) {
    for (const Function& function : functions()) root_.set(function.name, &function);
    for (const auto& [name, value] : variables) root_.set(name, value);
  }

  std::string render(const Block& block) {
    std::string out;
    try {
      execute(block, root_, out);
    } catch (const Error& error) {
      throw RenderError(line_, error.what());
    }
    return out;
  }

 private:
  // --- expressions

  Value evaluate(const Expression& expression, Scope& scope) {
    const Rendering::Level level(rendering_);
    line_ = expression.line;
    return std::visit([&](const auto& node) { return value_of(node, scope); }, expression.node);
  }

  Value value_of(const Literal& literal, Scope&) { return literal.value; }

  Value value_of(const Name& name, Scope& scope) {
    if (const Value* found = scope.find(name.name)) return *found;
    return Undefined("'" + name.name + "' is undefined");
  }

  Value value_of(const ListOf& list, Scope& scope) {
    return rendering_.sequence(values_of(list.elements, scope),
                               list.is_tuple ? Sequence::Kind::tuple : Sequence::Kind::list);
  }

  Value value_of(const DictOf& node, Scope& scope) {
    Dict dict;
    for (const auto& [key, value] : node.entries) {
      const Value evaluated = evaluate(key, scope);
      dict.set(evaluated, evaluate(value, scope));
    }
    return rendering_.dict(std::move(dict));
  }

  Value value_of(const Not& node, Scope& scope) { return !is_true(evaluate(*node.operand, scope)); }

  Value value_of(const Sign& node, Scope& scope) {
    const Value operand = evaluate(*node.operand, scope);
    return node.is_minus ? negate_value(operand) : keep_sign(operand);
  }

  Value value_of(const Logic& node, Scope& scope) {
    Value left = evaluate(*node.left, scope);
    return is_true(left) == node.is_and ? evaluate(*node.right, scope) : left;
  }

  Value value_of(const Operation& node, Scope& scope) {
    const Value left = evaluate(*node.left, scope);
    return operate(rendering_, node.operation, left, evaluate(*node.right, scope));
  }

  Value value_of(const Concatenation& node, Scope& scope) {
    std::string text;
    for (const Expression& part : node.parts) append_str(rendering_, evaluate(part, scope), text);
    return rendering_.text(std::move(text));
  }

  Value value_of(const Comparisons& node, Scope& scope) {
    Value left = evaluate(*node.first, scope);
    for (const auto& [comparison, operand] : node.rest) {
      Value right = evaluate(operand, scope);
      if (!compare(rendering_, comparison, left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  Value value_of(const Conditional& node, Scope& scope) {
    if (is_true(evaluate(*node.test, scope))) return evaluate(*node.then, scope);
    if (node.otherwise) return evaluate(*node.otherwise, scope);
    return Undefined("the inline if-expression evaluated to false and has no else");
  }

  Value value_of(const AttributeOf& node, Scope& scope) {
    return attribute(rendering_, evaluate(*node.object, scope), node.name);
  }

  Value value_of(const ItemOf& node, Scope& scope) {
    const Value object = evaluate(*node.object, scope);
    return item(rendering_, object, evaluate(*node.key, scope));
  }

  Value value_of(const SliceOf& node, Scope& scope) {
    const Value object = evaluate(*node.object, scope);
    const auto bound = [&](const ExpressionPtr& part) {
      return part ? evaluate(*part, scope) : Value(None());
    };
    const Value start = bound(node.start), stop = bound(node.stop);
    return slice(rendering_, object, {.start = start, .stop = stop, .step = bound(node.step)});
  }

  Value value_of(const Filtered& node, Scope& scope) {
    return apply(node.use, evaluate(*node.input, scope), scope);
  }

  Value value_of(const Tested& node, Scope& scope) {
    const Value input = evaluate(*node.input, scope);
    return node.test->call(rendering_, input, arguments_of(node.arguments, scope));
  }

  Value value_of(const CallOf& node, Scope& scope) {
    const int line = line_;
    const Value callee = evaluate(*node.callee, scope);
    const Arguments arguments = arguments_of(node.arguments, scope);
    line_ = line;
    if (const auto* function = callee.as<const Function*>()) {
      return (*function)->call(rendering_, arguments);
    }
    if (const auto* method = callee.as<std::shared_ptr<const Method>>()) {
      return call_method(rendering_, **method, arguments);
    }
    if (const auto* macro = callee.as<const Macro*>()) return call(**macro, arguments);
    if (const auto* undefined = callee.as<Undefined>()) fail(*undefined->why);
    fail("a " + type_name(callee) + " cannot be called");
  }

  std::vector<Value> values_of(const std::vector<Expression>& expressions, Scope& scope) {
    std::vector<Value> values;
    values.reserve(expressions.size());
    for (const Expression& expression : expressions) values.push_back(evaluate(expression, scope));
    return values;
  }

  Arguments arguments_of(const CallArguments& node, Scope& scope) {
    Arguments arguments{.positional = values_of(node.positional, scope), .named = {}};
    for (const auto& [name, value] : node.named) {
      arguments.named.emplace_back(name, evaluate(value, scope));
    }
    return arguments;
  }

  Value apply(const FilterUse& use, const Value& input, Scope& scope) {
    return use.filter->call(rendering_, input, arguments_of(use.arguments, scope));
  }

  // A macro sees the variables of the template's own level, and its parameters.
  Value call(const Macro& macro, const Arguments& arguments) {
    Scope scope(&root_);
    const auto& parameters = macro.parameters;
    if (arguments.positional.size() > parameters.size()) {
      fail("macro '" + macro.name + "' takes not more than " + std::to_string(parameters.size()) +
           " argument(s)");
    }
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
      scope.set(parameters[i].name, arguments.positional[i]);
    }
    for (const auto& [name, value] : arguments.named) {
      if (std::ranges::find(parameters, name, &Parameter::name) == parameters.end()) {
        fail("macro '" + macro.name + "' takes no keyword argument '" + name + "'");
      }
      if (scope.variables.contains(name)) {
        fail("macro '" + macro.name + "' is given '" + name + "' twice");
      }
      scope.set(name, value);
    }
    for (const auto& [name, otherwise] : parameters) {
      if (scope.variables.contains(name)) continue;
      scope.set(name, otherwise ? evaluate(*otherwise, scope)
                                : Undefined("parameter '" + name + "' was not provided"));
    }
    std::string out;
    execute(macro.body, scope, out);
    return rendering_.text(std::move(out));
  }

  // --- statements

  Flow execute(const Block& block, Scope& scope, std::string& out) {
    for (const Statement& statement : block) {
      const Rendering::Level level(rendering_);
      line_ = statement.line;
      const Flow flow =
          std::visit([&](const auto& node) { return run(node, scope, out); }, statement.node);
      if (flow != Flow::on) return flow;
    }
    return Flow::on;
  }

  Flow run(const Plain& plain, Scope&, std::string& out) {
    rendering_.spend(plain.text.size());
    out += plain.text;
    return Flow::on;
  }

  Flow run(const Output& output, Scope& scope, std::string& out) {
    append_str(rendering_, evaluate(output.value, scope), out);
    return Flow::on;
  }

  Flow run(const If& node, Scope& scope, std::string& out) {
    for (const auto& [test, block] : node.branches) {
      if (is_true(evaluate(test, scope))) return execute(block, scope, out);
    }
    return execute(node.otherwise, scope, out);
  }

  Flow run(const For& node, Scope& scope, std::string& out) {
    std::vector<Value> all = elements(rendering_, evaluate(node.iterable, scope));
    if (node.filter) {
      std::erase_if(all, [&](const Value& element) {
        Scope inner(&scope);
        assign(node.target, element, inner);
        return !is_true(evaluate(*node.filter, inner));
      });
    }
    Loop* loop = rendering_.new_loop();
    loop->elements = std::move(all);
    bool any_ended =
        false;  // Jinja's else asks for that: a round that is broken off does not count
    for (; loop->index0 < loop->elements.size(); ++loop->index0) {
      const Rendering::Level level(rendering_);
      Scope inner(&scope);
      inner.set("loop", loop);
      assign(node.target, loop->elements[loop->index0], inner);
      const Flow flow = execute(node.body, inner, out);
      if (flow == Flow::leave_loop) break;
      any_ended = any_ended || flow == Flow::on;
    }
    if (any_ended) return Flow::on;
    Scope inner(&scope);
    return execute(node.otherwise, inner, out);
  }

  Flow run(const Set& node, Scope& scope, std::string&) {
    const int line = line_;
    const Value value = evaluate(node.value, scope);
    line_ = line;
    assign(node.target, value, scope);
    return Flow::on;
  }

  // What a block with variables of its own gives, filtered.
  Value captured(const Block& block, const std::vector<FilterUse>& filters, Scope& scope,
                 Flow& flow) {
    Scope inner(&scope);
    std::string text;
    flow = execute(block, inner, text);
    Value value = rendering_.text(std::move(text));
    for (const FilterUse& use : filters) value = apply(use, value, inner);
    return value;
  }

  Flow run(const SetBlock& node, Scope& scope, std::string&) {
    Flow flow = Flow::on;
    const Value value = captured(node.body, node.filters, scope, flow);
    if (flow == Flow::on) assign(node.target, value, scope);
    return flow;
  }

  Flow run(const FilterBlock& node, Scope& scope, std::string& out) {
    Flow flow = Flow::on;
    const Value value = captured(node.body, node.filters, scope, flow);
    if (flow == Flow::on) append_str(rendering_, value, out);
    return flow;
  }

  Flow run(const With& node, Scope& scope, std::string& out) {
    Scope inner(&scope);
    for (const auto& [target, value] : node.sets) assign(target, evaluate(value, scope), inner);
    return execute(node.body, inner, out);
  }

  Flow run(const Macro& macro, Scope& scope, std::string&) {
    scope.set(macro.name, &macro);
    return Flow::on;
  }

  Flow run(const Break&, Scope&, std::string&) { return Flow::leave_loop; }
  Flow run(const Continue&, Scope&, std::string&) { return Flow::next_round; }

  void assign(const Target& target, const Value& value, Scope& scope) {
    if (!target.attribute.empty()) {
      const Value* object = scope.find(target.names[0]);
      auto* const* space = object ? object->as<Namespace*>() : nullptr;
      if (!space) fail("cannot assign attribute on non-namespace object");
      rendering_.spend(sizeof(Value));
      set_attribute(**space, target.attribute, value);
    } else if (!target.unpacks) {
      scope.set(target.names[0], value);
    } else {
      const std::vector<Value> values = elements(rendering_, value);
      if (values.size() != target.names.size()) {
        fail(std::to_string(target.names.size()) + " values are expected here, not " +
             std::to_string(values.size()));
      }
      for (std::size_t i = 0; i < values.size(); ++i) scope.set(target.names[i], values[i]);
    }
  }

  Rendering& rendering_;
  Scope root_;
  int line_ = 1;  // of what is evaluated, for errors
};

}  // namespace

std::string render(Rendering& rendering, const Block& block, const Variables& variables) {
  return Evaluator(rendering, variables).render(block);
}

}  // namespace sluice::worker::text::jinja
