// Rows for people (table, md) and for programs (json, csv, jsonl) from one description. A cell
// holds the raw value and, where people read it differently, its text.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

namespace sluice::scheduler::cli {

enum class Format { table, json, csv, jsonl, md };

struct Column {
  std::string key;       // of json and csv
  std::string title;     // of table and md; empty: shown to programs only
  bool numeric = false;  // right-aligned
  int width_max = 0;     // on a terminal: longer text is cut; 0: no limit
};

struct Cell {
  std::variant<std::monostate, bool, std::int64_t, double, std::string> value;
  std::string text;  // for people
};
Cell nothing();  // null; "-" for people
Cell word(std::string value);
Cell word(std::string value, std::string text);
Cell flag(bool value);
Cell count(std::int64_t value);         // 1,234
Cell number(double value, int digits);  // nothing() when it is not finite
Cell number(double value, std::string text);

using Row = std::vector<Cell>;

struct Table {
  std::vector<Column> columns;
  std::vector<Row> rows;
};

// `width`: of the terminal; columns with a limit and the last one are cut to fit it. 0: no limit.
std::string render(const Table& table, Format format, int width = 0);
std::string to_json(const std::vector<Column>& columns, const Row& row);  // one object, one line

// Writes row by row, so that a million of them need no memory. csv (RFC 4180) or jsonl.
class RowWriter {
 public:
  RowWriter(std::ostream& out, std::vector<Column> columns, Format format);
  void write(const Row& row);

 private:
  std::ostream& out_;
  std::vector<Column> columns_;
  Format format_;
};

}  // namespace sluice::scheduler::cli
