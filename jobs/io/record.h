// One struct <-> one JSON object, its keys named once for both directions:
//
//   static void fields(Record& record, Shape& shape) { record("nodes", shape.nodes); ... }
//   write_record(shape);  read_record<Shape>(json, "shape.json");
//
// Every document carries a format_version: a newer one is refused, as is a key that nobody asked
// for. A key that is missing leaves the member's default, unless it is `need`ed.
// Throws jobs::Error (which document, which key, what is wrong).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/ids.h"

namespace sluice::jobs::io {

class Record {
 public:
  Record();                                              // to be written
  Record(std::string_view json, std::string_view what);  // to be read; `what` is for messages
  ~Record();

  void operator()(const char* key, bool& value);
  void operator()(const char* key, int& value);
  void operator()(const char* key, std::int64_t& value);
  void operator()(const char* key, double& value);  // null when not finite
  void operator()(const char* key, std::string& value);
  void operator()(const char* key, RunId& value);
  void operator()(const char* key, std::vector<std::string>& value);
  void operator()(const char* key, std::vector<std::int32_t>& value);
  void operator()(const char* key, std::map<std::string, std::string>& value);
  void operator()(const char* key, std::map<std::int32_t, double>& value);  // keys as texts

  // A struct within: an object of its own, with its own fields().
  template <class Struct>
  void object(const char* key, Struct& value) {
    open(key);
    fields(*this, value);
    close();
  }

  // The next key must stand in the document.
  Record& need();

  std::string text() const;  // of a record that was written
  void finish();             // of one that was read: nothing may be left over

 private:
  struct Data;
  void open(const char* key);
  void close();

  std::unique_ptr<Data> data_;
};

template <class Struct>
std::string write_record(Struct value) {
  Record record;
  fields(record, value);
  return record.text();
}

template <class Struct>
Struct read_record(std::string_view json, std::string_view what) {
  Record record(json, what);
  Struct value;
  fields(record, value);
  record.finish();
  return value;
}

}  // namespace sluice::jobs::io
