// The functions that a chat template finds: Jinja's range, dict and namespace, and transformers'
// raise_exception and strftime_now.
#pragma once

#include <span>
#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

std::span<const Function> functions();
// Functions of Jinja that this version does not have.
bool is_missing_function(std::string_view name);

}  // namespace sluice::worker::text::jinja
