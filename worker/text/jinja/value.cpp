#include "worker/text/jinja/value.h"

#include <algorithm>
#include <cmath>

#include "worker/error.h"
#include "worker/text/jinja/number.h"

namespace sluice::worker::text::jinja {
namespace {

constexpr int kContainerDepthMax = 100;
constexpr int kLevelsMax = 800;
constexpr std::uint64_t kObjectWork = 48;  // what lies beside the bytes of a value

int depth_of(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  if (const auto* method = value.as<std::shared_ptr<const Method>>()) {
    return 1 + depth_of((*method)->receiver);
  }
  return 0;
}

int deeper(int depth, const Value& inner) {
  depth = std::max(depth, 1 + depth_of(inner));
  if (depth > kContainerDepthMax) {
    fail("lists and dicts are nested more than " + std::to_string(kContainerDepthMax) + " deep");
  }
  return depth;
}

// Keys that are equal have the same: 1, 1.0 and true.
std::string place_of(const Value& key) {
  if (const std::string* text = key.text()) return "s" + *text;
  if (const auto integer = as_integer(key)) return "i" + std::to_string(*integer);
  if (const double* number = key.as<double>()) {
    if (std::floor(*number) == *number && std::abs(*number) < 0x1p62) {
      return "i" + std::to_string(static_cast<std::int64_t>(*number));
    }
    return "f" + repr(*number);
  }
  if (key.is<None>()) return "n";
  fail("a " + type_name(key) + " cannot be the key of a dict");
}

}  // namespace

void Dict::set(const Value& key, Value value) {
  depth = deeper(depth, value);
  const auto [place, is_new] = places.try_emplace(place_of(key), entries.size());
  if (is_new) {
    entries.emplace_back(key, std::move(value));
  } else {
    entries[place->second].second = std::move(value);
  }
}

const Value* Dict::find(const Value& key) const {
  const auto found = places.find(place_of(key));
  return found == places.end() ? nullptr : &entries[found->second].second;
}

const Value* Dict::find(std::string_view key) const {
  const auto found = places.find("s" + std::string(key));
  return found == places.end() ? nullptr : &entries[found->second].second;
}

void Rendering::spend(std::uint64_t work) {
  if (work > work_left_) {
    fail("takes too much time or memory: a loop without end, or too large a text");
  }
  work_left_ -= work;
}

void Rendering::spend_product(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > work_left_ / b) a = work_left_ + 1, b = 1;
  spend(a * b);
}

Value Rendering::text(std::string text) {
  spend(text.size() + kObjectWork);
  return std::make_shared<const std::string>(std::move(text));
}

Value Rendering::sequence(std::vector<Value> elements, Sequence::Kind kind) {
  spend(elements.size() * sizeof(Value) + kObjectWork);
  int depth = 1;
  for (const Value& element : elements) depth = deeper(depth, element);
  return std::make_shared<const Sequence>(
      Sequence{.kind = kind, .elements = std::move(elements), .depth = depth});
}

Value Rendering::dict(Dict dict) {
  spend(dict.entries.size() * 4 * sizeof(Value) + kObjectWork);
  return std::make_shared<const Dict>(std::move(dict));
}

Value Rendering::method(const Value& receiver, std::string_view name) {
  spend(kObjectWork);
  deeper(1, receiver);
  return std::make_shared<const Method>(Method{.receiver = receiver, .name = std::string(name)});
}

Namespace* Rendering::new_namespace() {
  spend(kObjectWork + sizeof(Namespace));
  return namespaces_.emplace_back(std::make_unique<Namespace>()).get();
}

Loop* Rendering::new_loop() {
  spend(kObjectWork + sizeof(Loop));
  return loops_.emplace_back(std::make_unique<Loop>()).get();
}

Rendering::Level::Level(Rendering& rendering) : rendering_(rendering) {
  rendering_.spend(kStepWork);
  if (rendering_.level_ >= kLevelsMax) fail("macros call each other too deeply");
  ++rendering_.level_;
}

std::string type_name(const Value& value) {
  struct Names {
    std::string operator()(None) const { return "NoneType"; }
    std::string operator()(const Undefined&) const { return "Undefined"; }
    std::string operator()(bool) const { return "bool"; }
    std::string operator()(std::int64_t) const { return "int"; }
    std::string operator()(double) const { return "float"; }
    std::string operator()(const Text&) const { return "str"; }
    std::string operator()(const std::shared_ptr<const Sequence>& sequence) const {
      switch (sequence->kind) {
        case Sequence::Kind::list:
          return "list";
        case Sequence::Kind::tuple:
          return "tuple";
        case Sequence::Kind::range:
          return "range";
        case Sequence::Kind::keys:
          return "dict_keys";
        case Sequence::Kind::values:
          return "dict_values";
        case Sequence::Kind::items:
          return "dict_items";
        case Sequence::Kind::generator:
          break;
      }
      return "generator";
    }
    std::string operator()(const std::shared_ptr<const Dict>&) const { return "dict"; }
    std::string operator()(const std::shared_ptr<const Method>&) const { return "method"; }
    std::string operator()(Namespace*) const { return "jinja2.utils.Namespace"; }
    std::string operator()(Loop*) const { return "jinja2.runtime.LoopContext"; }
    std::string operator()(const Macro*) const { return "jinja2.runtime.Macro"; }
    std::string operator()(const Function*) const { return "function"; }
  };
  return std::visit(Names(), static_cast<const AnyValue&>(value));
}

void fail(const std::string& what) { throw Error(what); }

}  // namespace sluice::worker::text::jinja
