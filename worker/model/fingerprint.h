// What tells a model from another under the same path: a job is answered by the one that it was
// submitted with, on every rank and in every attempt.
#pragma once

#include <string>

#include "worker/model/model.h"

namespace sluice::worker::model {

// 16 hexadecimal digits: FNV-1a 64 of the headers, of 256 bytes from the middle of every tensor
// and, of a folder, of its JSON files and chat template. Weights that were trained on or quantised
// anew differ there; a single flipped byte need not. Reads from the files: throws worker::Error.
std::string fingerprint(const Model& model);

}  // namespace sluice::worker::model
