// Text of ids that come one by one, as soon as it is certain: never half a character. Together the
// parts are what Tokenizer::decode makes of all ids.
#pragma once

#include <cstdint>
#include <string>

#include "worker/text/decoder.h"
#include "worker/text/tokenizer.h"

namespace sluice::worker::text {

class Detokenizer {
 public:
  // The tokenizer must outlive it.
  Detokenizer(const Tokenizer& tokenizer, bool skip_special);

  std::string push(std::int32_t id);
  std::string finish();  // what was held back; no id follows

 private:
  const TokenizerParts* parts_;
  bool skip_special_;
  DecoderStream stream_;
};

}  // namespace sluice::worker::text
