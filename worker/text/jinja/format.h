// Python's two ways to put values into a text: "%s" % x and "{}".format(x).
#pragma once

#include <string>
#include <string_view>

#include "worker/text/jinja/value.h"

namespace sluice::worker::text::jinja {

// `values`: a tuple of them, a dict for %(name)s, or one value. Throws worker::Error: too many or
// too few values, a value of the wrong type, a conversion that is not supported.
std::string format_percent(Rendering& rendering, std::string_view format, const Value& values);

// {}, {0} and {name}; not their attributes, conversions and formats.
std::string format_braces(Rendering& rendering, std::string_view format,
                          const Arguments& arguments);

}  // namespace sluice::worker::text::jinja
