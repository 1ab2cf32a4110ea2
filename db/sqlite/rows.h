// Structs as rows: each names its columns once, in a function
//
//   template <class Row, class Visit> void columns(Row& run, const Visit& visit) {
//     visit("attempt", run.run.attempt); ...
//   }
//
// for inserting, selecting and reading alike.
#pragma once

#include <string>

#include "db/sqlite/connection.h"

namespace sluice::db::sqlite {

template <class Row>
std::string column_names() {
  std::string names;
  Row row;
  columns(row, [&](const char* name, auto&) {
    if (!names.empty()) names += ", ";
    names += '"' + std::string(name) + '"';
  });
  return names;
}

template <class Row>
Row read_row(Statement& statement) {
  Row row;
  columns(row, [&](const char*, auto& value) { statement.read(value); });
  return row;
}

// INSERT or INSERT OR REPLACE, to be run with bind_row().
template <class Row>
std::string insert_sql(const std::string& verb, const std::string& table) {
  std::string marks;
  Row row;
  columns(row, [&](const char*, auto&) { marks += marks.empty() ? "?" : ", ?"; });
  return verb + " INTO " + table + " (" + column_names<Row>() + ") VALUES (" + marks + ")";
}

template <class Row>
Statement& bind_row(Statement& statement, Row row) {
  columns(row, [&](const char*, auto& value) { statement.bind(value); });
  return statement;
}

}  // namespace sluice::db::sqlite
