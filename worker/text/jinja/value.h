// What a chat template computes with: Python's values, as far as Jinja shows them. And the limits
// of one rendering. Values are immutable; only a namespace changes.
// A rendering and its values belong to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::worker::text::jinja {

struct Dict;
struct Function;
struct Loop;
struct Macro;
struct Method;
struct Namespace;
struct Sequence;

struct None {};
struct Undefined {
  explicit Undefined(std::string_view reason) : why(std::make_shared<const std::string>(reason)) {}
  std::shared_ptr<const std::string> why;  // what an error says of it
};
using Text = std::shared_ptr<const std::string>;  // UTF-8

using AnyValue =
    std::variant<None, Undefined, bool, std::int64_t, double, Text, std::shared_ptr<const Sequence>,
                 std::shared_ptr<const Dict>, std::shared_ptr<const Method>, Namespace*, Loop*,
                 const Macro*, const Function*>;

class Value : public AnyValue {
 public:
  using AnyValue::AnyValue;

  template <class Kind>
  const Kind* as() const {
    return std::get_if<Kind>(static_cast<const AnyValue*>(this));
  }
  template <class Kind>
  bool is() const {
    return as<Kind>() != nullptr;
  }
  // What it points to, or nullptr: text->..., sequence->...
  const std::string* text() const { return target<Text>(); }
  const Sequence* sequence() const { return target<std::shared_ptr<const Sequence>>(); }
  const Dict* dict() const { return target<std::shared_ptr<const Dict>>(); }

 private:
  template <class Pointer>
  auto target() const -> decltype(std::declval<Pointer>().get()) {
    const Pointer* pointer = as<Pointer>();
    return pointer ? pointer->get() : nullptr;
  }
};

struct Sequence {
  enum class Kind { list, tuple, range, keys, values, items, generator };
  Kind kind = Kind::list;
  std::vector<Value> elements;
  int depth = 1;                  // of containers within each other
  mutable std::size_t taken = 0;  // of a generator, which gives each element once
};

// In the order of insertion.
struct Dict {
  // Throws worker::Error for a key that Python cannot hash.
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;

  std::vector<std::pair<Value, Value>> entries;
  std::map<std::string, std::size_t, std::less<>> places;  // of entries, by what a key equals
  int depth = 1;
};

// A function of a value, before it is called: "abc".upper
struct Method {
  Value receiver;
  std::string name;
};

struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

// `loop` within a for loop.
struct Loop {
  std::vector<Value> elements;
  std::size_t index0 = 0;
  std::vector<Value> last_changed = {};
  bool has_changed = false;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Rendering;

struct Function {
  std::string_view name;
  Value (*call)(Rendering&, const Arguments&);
};

// One unit is a byte of a value that is made or looked through; a step of evaluation counts as
// kStepWork. It bounds time, memory and output at once.
inline constexpr std::uint64_t kStepWork = 16;

// What one rendering may use, and what it owns.
class Rendering {
 public:
  Rendering(std::uint64_t work_max, const std::tm& now) : work_left_(work_max), now_(now) {}

  // Throws worker::Error when there is too little left.
  void spend(std::uint64_t work);
  void spend_product(std::uint64_t a, std::uint64_t b);

  Value text(std::string text);
  // Throw worker::Error: containers nested too deeply.
  Value sequence(std::vector<Value> elements, Sequence::Kind kind = Sequence::Kind::list);
  Value dict(Dict dict);
  Value method(const Value& receiver, std::string_view name);
  Namespace* new_namespace();
  Loop* new_loop();

  const std::tm& now() const { return now_; }

  // Levels of evaluation within each other, macros included.
  class Level {
   public:
    explicit Level(Rendering& rendering);
    ~Level() { --rendering_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Rendering& rendering_;
  };

 private:
  std::uint64_t work_left_;
  std::tm now_;
  int level_ = 0;
  // These may point to each other in circles, so that no value owns them.
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

// "str", "list", "NoneType", ...: as Python names it.
std::string type_name(const Value& value);
[[noreturn]] void fail(const std::string& what);

}  // namespace sluice::worker::text::jinja
