#include <algorithm>
#include <string_view>

#include "slurm/command.h"

namespace sluice::slurm {

namespace {

constexpr std::string_view kPunctuation = "_-./:,+@%=";

// A word of these characters alone means itself to every shell, and reads better without quotes.
bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPunctuation.find(c) != std::string_view::npos;
}

}  // namespace

// Single quotes keep every byte as it is; a quote itself stands outside of them: 'it'\''s'.
std::string quote(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string quote(const std::vector<std::string>& argv) {
  std::string line;
  for (const std::string& word : argv) {
    if (!line.empty()) line += ' ';
    line += quote(word);
  }
  return line;
}

}  // namespace sluice::slurm
