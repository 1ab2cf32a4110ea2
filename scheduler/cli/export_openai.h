// A job's answers in OpenAI's lines (docs/batch-files.md), in input order. In memory is one
// request.
#pragma once

#include <ostream>

#include "db/store.h"

namespace sluice::scheduler::cli {

// Throws when the job's prompts or answers cannot be read.
void write_openai(const db::Store& store, const db::Job& job, std::ostream& out);

}  // namespace sluice::scheduler::cli
