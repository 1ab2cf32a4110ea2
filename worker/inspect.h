// What a model file is: `sluice-worker inspect` for people, `check` for `sluice submit`. Reads the
// header only; no MPI, no device, no weights.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace sluice::worker {

struct InspectOptions {
  std::filesystem::path model = {};
  std::string format = "table";              // table | json
  std::filesystem::path chat_template = {};  // check: of chats, in place of the model's own
  int stages = 0;  // inspect: how so many stages would share the model; 0: do not say
};

// Architecture, shapes, types, tokenizer, stop ids, cost and memory of the parts. 0: there they
// are; 2: the model is not supported, as `json` {"ok": false, "error"}; with `table` the error is
// thrown.
int inspect(const InspectOptions& options, std::ostream& out);

// Whether this version can run the model. 0: yes; 2: no, and why. `json` is
// {"ok": true, "architecture", "name", "layers", "hidden", "vocab", "context", "parameters",
// "weight_bytes", "weight_types": {"Q4_1": bytes, ...}, "file_bytes", "fingerprint",
// "chat_problem": why chats cannot be rendered, or null}
// or {"ok": false, "error"}; with `table` the error is thrown.
int check(const InspectOptions& options, std::ostream& out);

}  // namespace sluice::worker
