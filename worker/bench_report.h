// What `sluice-worker bench` prints. For people (table, md) two tables: the rows of llama.cpp's
// llama-batched-bench, and the tests of its llama-bench with what bounds them. For programs (json:
// one array; jsonl; csv) a row has everything under one name each, docs/models.md says which.
#pragma once

#include <iosfwd>
#include <string>

#include "worker/bench.h"

namespace sluice::worker {

// `format`: table | md | json | jsonl | csv. What was not measured is "-", null or empty.
void print(const BenchReport& report, const std::string& format, std::ostream& out);
void print_json_error(const std::string& what, std::ostream& out);  // {"error"}

}  // namespace sluice::worker
