// Foreign text for an error message: in quotes, short, on one line, printable whatever the file
// held.
#pragma once

#include <string>
#include <string_view>

namespace sluice::worker::model {

std::string printable(std::string_view text);  // 'blk.0.attn_q.weight'

}  // namespace sluice::worker::model
