#include "worker/text/normalizer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "worker/error.h"
#include "worker/text/pattern_json.h"
#include "worker/text/utf8.h"

namespace sluice::worker::text {
namespace {

// One character becomes 18 at most by Unicode's rules; a few more bytes may stand before a text.
constexpr std::size_t kGrowthMax = 64, kGrowthBytes = 4096;
constexpr std::size_t kStepsMax = 32;

class Application {
 public:
  explicit Application(std::string_view text)
      : text_(text), bytes_max_(text.size() * kGrowthMax + kGrowthBytes) {}

  void operator()(NormalForm form) { set(normalize(text_, form)); }
  void operator()(const Normalizer::Prepend& prepend) {
    if (!text_.empty()) set(prepend.text + text_);
  }
  void operator()(const Normalizer::Replace& replace) {
    std::string out;
    std::size_t copied = 0;
    replace.pattern.for_each_match(text_, [&](std::size_t begin, std::size_t end) {
      out.append(text_, copied, begin - copied).append(replace.by);
      copied = end;
      check_size(out);
    });
    set(out.append(text_, copied));
  }
  void operator()(const Normalizer::Lowercase&) { set(lower_case(text_)); }
  void operator()(const Normalizer::Strip& strip) {
    // The places where a run of what is no white space begins and ends, first and last.
    std::size_t first = text_.size(), last = 0;
    for (std::size_t at = 0; at < text_.size();) {
      const std::size_t begin = at;
      if (is_white_space(take_character(text_, at))) continue;
      first = std::min(first, begin);
      last = at;
    }
    const std::size_t begin = strip.left ? first : 0;
    const std::size_t end = strip.right ? last : text_.size();
    set(begin < end ? text_.substr(begin, end - begin) : "");
  }

  std::string take() { return std::move(text_); }

 private:
  void set(std::string text) {
    check_size(text);
    text_ = std::move(text);
  }
  void check_size(std::string_view text) const {
    if (text.size() <= bytes_max_) return;
    throw Error("normalizing makes the text more than " + std::to_string(kGrowthMax) +
                " times longer");
  }

  std::string text_;
  std::size_t bytes_max_;
};

void append_steps(const JsonValue& json, std::vector<Normalizer::Step>& steps) {
  if (json.is_null()) return;
  const JsonValue type = json["type"];
  const std::string name = type.string();
  if (name == "Sequence") {
    for (const JsonValue& step : json["normalizers"].elements()) append_steps(step, steps);
  } else if (name == "NFC") {
    steps.emplace_back(NormalForm::nfc);
  } else if (name == "NFD") {
    steps.emplace_back(NormalForm::nfd);
  } else if (name == "NFKC") {
    steps.emplace_back(NormalForm::nfkc);
  } else if (name == "NFKD") {
    steps.emplace_back(NormalForm::nfkd);
  } else if (name == "Prepend") {
    steps.emplace_back(Normalizer::Prepend{json["prepend"].string()});
  } else if (name == "Replace") {
    steps.emplace_back(
        Normalizer::Replace{pattern_from_json(json["pattern"]), json["content"].string()});
  } else if (name == "Lowercase") {
    steps.emplace_back(Normalizer::Lowercase{});
  } else if (name == "Strip") {
    steps.emplace_back(
        Normalizer::Strip{json["strip_left"].boolean(), json["strip_right"].boolean()});
  } else {
    type.refuse("Sequence, NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip");
  }
  if (steps.size() > kStepsMax) json.fail("is one step too many");
}

}  // namespace

Normalizer Normalizer::from_json(const JsonValue& json) {
  std::vector<Step> steps;
  append_steps(json, steps);
  return Normalizer(std::move(steps));
}

std::string Normalizer::apply(std::string_view text) const {
  Application application(text);
  for (const Step& step : steps_) std::visit(application, step);
  return application.take();
}

}  // namespace sluice::worker::text
