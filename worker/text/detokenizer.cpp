#include "worker/text/detokenizer.h"

#include "worker/text/tokenizer_parts.h"

namespace sluice::worker::text {

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool skip_special)
    : parts_(tokenizer.parts_.get()), skip_special_(skip_special), stream_(parts_->decoder) {}

std::string Detokenizer::push(std::int32_t id) {
  std::string text;
  if (!parts_->vocabulary->contains(id) || (skip_special_ && parts_->is_special[id])) return text;
  stream_.push(parts_->vocabulary->text(id), text);
  return text;
}

std::string Detokenizer::finish() {
  std::string text;
  stream_.finish(text);
  return text;
}

}  // namespace sluice::worker::text
