// Regular expressions as tokenizer files hold them: written for Oniguruma, run by PCRE2. What the
// two read differently is translated, or refused by name. Immutable; matching may be called from
// several threads.
// Sources: Oniguruma's doc/RE (Ruby's syntax); pcre2pattern(3).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::worker::text {

inline constexpr std::size_t kPatternBytesMax = 16 << 10;

class Regex {
 public:
  // Throws worker::Error: too long, no valid pattern, or a construct that is not supported.
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);  // matches `text` alone

  // Calls `match` with the byte range of each match in order; one that is empty counts unless it
  // touches the match before it. An empty text has none. Throws worker::Error when the pattern
  // backtracks more than a sound one would have to. Requires: text is valid UTF-8.
  void for_each_match(std::string_view text,
                      const std::function<void(std::size_t begin, std::size_t end)>& match) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;  // shared by copies
};

}  // namespace sluice::worker::text
