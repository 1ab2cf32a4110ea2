// A JSON file of foreign making, read with suspicion: each value as asked, with errors that name
// the file and the way to the key. A value that is null is absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::worker {

class JsonDocument;
class JsonElements;

// A view into a JsonDocument, which must outlive it.
class JsonValue {
 public:
  bool is_absent() const { return json_ == nullptr; }  // not even null
  bool is_null() const;                                // or absent
  bool is_object() const;
  bool is_array() const;
  bool is_integer() const;
  bool is_string() const;

  JsonValue operator[](std::string_view key) const;  // null when absent; of null too
  JsonElements elements() const;                     // of an array; none of null
  // Calls use(key, member) for those of an object; for none of null.
  void for_each_member(const std::function<void(const std::string&, const JsonValue&)>& use) const;

  // The value as asked; these throw when it is absent or of another kind.
  std::string string() const;
  bool boolean() const;
  std::int64_t integer() const;
  std::uint64_t natural() const;
  double number() const;  // finite

  // These throw only when it is of another kind.
  std::string string_or(std::string_view otherwise) const {
    return is_null() ? std::string(otherwise) : string();
  }
  bool boolean_or(bool otherwise) const { return is_null() ? otherwise : boolean(); }
  double number_or(double otherwise) const { return is_null() ? otherwise : number(); }

  // "FILE: key 'model.merges[3]'", as messages begin; of the root "FILE:".
  std::string subject() const;
  // "SUBJECT PROBLEM".
  [[noreturn]] void fail(const std::string& problem) const;
  // The same for a name that is not among the supported ones.
  [[noreturn]] void refuse(std::string_view supported) const;

 private:
  friend class JsonDocument;
  friend class JsonElements;
  JsonValue(const void* json, const std::string* file, std::string_view path);

  const void* json_;         // nlohmann::json, whose header no header includes; nullptr: absent
  const std::string* file_;  // for errors
  std::string path_;         // no longer than a message shows it
};

// Elements are made when they are asked for: an array takes no memory beside the document.
class JsonElements {
 public:
  class Iterator {
   public:
    Iterator(const JsonElements& elements, std::size_t at) : elements_(elements), at_(at) {}
    JsonValue operator*() const { return elements_[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const JsonElements& elements_;
    std::size_t at_;
  };

  explicit JsonElements(JsonValue array);  // throws when it is neither null nor an array
  std::size_t size() const;
  JsonValue operator[](std::size_t i) const;
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  JsonValue array_;
};

class JsonDocument {
 public:
  // The element of a large container, given to its reader and not kept; `key` is "" in arrays.
  using TakeElement = std::function<void(std::string_view key, const JsonValue& element)>;
  // Containers of the second level whose elements are taken: {"model.merges", ...}.
  using Takers = std::map<std::string, TakeElement, std::less<>>;

  // Throws worker::Error: the file cannot be read or has more than `bytes_max`, is no JSON object,
  // or is nested too deeply.
  JsonDocument(const std::filesystem::path& path, std::uint64_t bytes_max,
               const Takers& takers = {});
  // The same of a text that stands in `file`.
  JsonDocument(std::string file, std::string_view text, const Takers& takers = {});
  JsonDocument(JsonDocument&&) noexcept;
  ~JsonDocument();

  JsonValue root() const;

 private:
  struct Data;
  class Builder;
  std::unique_ptr<const Data> data_;
};

}  // namespace sluice::worker
