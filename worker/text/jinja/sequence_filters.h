// The filters of lists and dicts: map, select, sort, first, items, ...
#pragma once

#include <string_view>

#include "worker/text/jinja/filters.h"

namespace sluice::worker::text::jinja {

const Filter* find_sequence_filter(std::string_view name);

}  // namespace sluice::worker::text::jinja
