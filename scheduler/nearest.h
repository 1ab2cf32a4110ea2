// What somebody may have meant who typed a word that is none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::scheduler {

// The known word within two single-character edits of the wrong one; empty when there is none.
std::string nearest(std::string_view wrong, const std::vector<std::string>& known);

}  // namespace sluice::scheduler
