#include "worker/text/replace_all.h"

namespace sluice::worker::text {

std::string replace_all(std::string_view text, std::string_view from, std::string_view by) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at; (at = text.find(from)) != std::string_view::npos;) {
    out.append(text.substr(0, at)).append(by);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

}  // namespace sluice::worker::text
