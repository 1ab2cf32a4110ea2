#include "worker/text/jinja/json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker/text/jinja/number.h"
#include "worker/text/jinja/operations.h"
#include "worker/text/jinja/python_text.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text::jinja {
namespace {

using nlohmann::json;

class Reader : public nlohmann::json_sax<json> {
 public:
  Reader(Rendering& rendering, std::string_view what) : rendering_(rendering), what_(what) {}

  Value take() { return std::move(root_); }

  bool null() override { return put(None()); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(std::int64_t value) override { return put(value); }
  bool number_unsigned(std::uint64_t value) override {
    if (!std::in_range<std::int64_t>(value)) overflow();
    return put(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string& digits) override {
    if (digits.find_first_of(".eE") == std::string::npos) overflow();
    return put(value);
  }
  bool string(std::string& value) override { return put(rendering_.text(std::move(value))); }
  bool binary(json::binary_t&) override { return false; }  // is in no text
  bool start_object(std::size_t) override { return open(true); }
  bool start_array(std::size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    open_.back().key = rendering_.text(std::move(key));
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const json::exception&) override {
    fail(what_ + " are not valid JSON at byte " + std::to_string(byte));
  }

 private:
  struct Open {  // a container
    bool is_dict;
    std::vector<Value> list = {};
    Dict dict = {};
    Value key = {};
  };

  [[noreturn]] void overflow() const { fail(what_ + " have an integer beyond 64 bits"); }

  bool put(Value value) {
    rendering_.spend(sizeof(Value));
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_dict) {
      open_.back().dict.set(open_.back().key, std::move(value));
    } else {
      open_.back().list.push_back(std::move(value));
    }
    return true;
  }
  bool open(bool is_dict) {
    constexpr std::size_t kDepthMax = 90;  // lists of lists of these can still be made
    if (open_.size() >= kDepthMax) {
      fail(what_ + " are nested more than " + std::to_string(kDepthMax) + " deep");
    }
    open_.push_back({.is_dict = is_dict});
    return true;
  }
  bool close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    return put(closed.is_dict ? rendering_.dict(std::move(closed.dict))
                              : rendering_.sequence(std::move(closed.list)));
  }

  Rendering& rendering_;
  std::string what_;
  std::vector<Open> open_;
  Value root_;
};

class Writer {
 public:
  Writer(Rendering& rendering, const JsonStyle& style) : rendering_(rendering), style_(style) {}

  void put(const Value& value, int level) {
    rendering_.spend(kStepWork);
    if (value.is<None>()) {
      out_ += "null";
    } else if (const bool* truth = value.as<bool>()) {
      out_ += *truth ? "true" : "false";
    } else if (const auto* integer = value.as<std::int64_t>()) {
      out_ += std::to_string(*integer);
    } else if (const double* number = value.as<double>()) {
      out_ += json_float(*number);
    } else if (const std::string* text = value.text()) {
      put_text(*text);
    } else if (const Dict* dict = value.dict()) {
      put_dict(*dict, level);
    } else if (const Sequence* list = value.sequence();
               list &&
               (list->kind == Sequence::Kind::list || list->kind == Sequence::Kind::tuple)) {
      put_list(*list, level);
    } else {
      fail("an object of type " + type_name(value) + " cannot be written as JSON");
    }
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string json_float(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return repr(number);
  }

  std::string key_text(const Value& key) const {
    if (const std::string* text = key.text()) return *text;
    if (key.is<None>()) return "null";
    if (const bool* truth = key.as<bool>()) return *truth ? "true" : "false";
    if (const double* number = key.as<double>()) return json_float(*number);
    return std::to_string(as_integer(key).value());  // a dict has no other keys
  }

  void put_text(std::string_view text) {
    rendering_.spend(text.size());
    const auto escape = [&](unsigned unit) {
      std::array<char, 12> buffer{};  // \uXXXX
      std::snprintf(buffer.data(), buffer.size(), "\\u%04x", unit);
      out_ += buffer.data();
    };
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      const char32_t c = take_character(text, at);
      constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
      const auto found = c < 0x80 ? kEscaped.find(static_cast<char>(c)) : std::string_view::npos;
      if (found != std::string_view::npos) {
        out_ += '\\';
        out_ += kLetters[found];
      } else if (c < 0x20 || (style_.ensure_ascii && c >= 0x7f && c < 0x10000)) {
        escape(c);
      } else if (style_.ensure_ascii && c >= 0x10000) {
        escape(0xd800 + ((c - 0x10000) >> 10));
        escape(0xdc00 + ((c - 0x10000) & 0x3ff));
      } else {
        out_ += text.substr(begin, at - begin);
      }
    }
    out_ += '"';
  }

  void new_line(int level) {
    if (!style_.indent) return;
    rendering_.spend_product(style_.indent->size() + 1, static_cast<std::uint64_t>(level) + 1);
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
  }

  // Calls put_element(i) for each of `size`.
  template <class PutElement>
  void put_elements(char open, std::size_t size, char close, int level, PutElement put_element) {
    out_ += open;
    for (std::size_t i = 0; i < size; ++i) {
      if (i > 0) {
        rendering_.spend(style_.item_separator.size());
        out_ += style_.item_separator;
      }
      new_line(level + 1);
      put_element(i);
    }
    if (size > 0) new_line(level);
    out_ += close;
  }

  void put_list(const Sequence& list, int level) {
    put_elements('[', list.elements.size(), ']', level,
                 [&](std::size_t i) { put(list.elements[i], level + 1); });
  }

  void put_dict(const Dict& dict, int level) {
    std::vector<std::size_t> order(dict.entries.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.sort_keys) {
      std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        return compare(rendering_, Comparison::less, dict.entries[a].first, dict.entries[b].first);
      });
    }
    put_elements('{', order.size(), '}', level, [&](std::size_t i) {
      const auto& [key, value] = dict.entries[order[i]];
      put_text(key_text(key));
      rendering_.spend(style_.key_separator.size());
      out_ += style_.key_separator;
      put(value, level + 1);
    });
  }

  Rendering& rendering_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Value from_json(Rendering& rendering, std::string_view text, std::string_view what) {
  Reader reader(rendering, what);
  json::sax_parse(text, &reader);
  return reader.take();
}

std::string to_json(Rendering& rendering, const Value& value, const JsonStyle& style) {
  Writer writer(rendering, style);
  writer.put(value, 0);
  return writer.take();
}

}  // namespace sluice::worker::text::jinja
