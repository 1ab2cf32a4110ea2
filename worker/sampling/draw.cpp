#include "worker/sampling/draw.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/portable_math.h"
#include "worker/error.h"

namespace sluice::worker::sampling {
namespace {

using kernels::Listed;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// What is cut off is cut off by choose(), from doubles; findings may only be more than it needs.
constexpr double kSlack = 1e-3;

bool cuts(const Draw& draw) { return draw.top_k > 0 || draw.top_p < 1 || draw.min_p > 0; }

// Is top-p's share one of all tokens?
bool shares_all(const Draw& draw) { return draw.top_p < 1 && draw.top_k == 0 && !(draw.min_p > 0); }

// A token of the nucleus that is not its first has less than p before it, so with those after it,
// none likelier, more than 1 - p: each of V tokens has at least (1 - p) / V.
double nucleus_depth(const Draw& draw, std::size_t vocab) {
  const double rest = 1 - static_cast<double>(draw.top_p);
  return kernels::portable_log(static_cast<double>(vocab) / rest) + kSlack;
}

double log_sum_exp(std::span<const double> terms) {
  const double largest = *std::ranges::max_element(terms);
  double sum = 0;
  for (const double term : terms) {
    if (term - largest > -700) sum += kernels::portable_exp(term - largest);
  }
  return largest + kernels::portable_log(sum);
}

kernels::ShortlistSpec spec_of(const Draw& draw, std::size_t row, std::size_t vocab) {
  kernels::ShortlistSpec spec{.row = row, .changes = draw.changes};
  if (draw.is_greedy()) {
    spec.capped = !draw.changes.empty();  // as one that is not drawn at all
    return spec;
  }
  spec.scale = 1 / draw.temperature;
  spec.sums = !cuts(draw) || shares_all(draw);
  if (!cuts(draw)) return spec;
  spec.k = draw.top_k > 0 ? static_cast<std::size_t>(draw.top_k) : vocab;
  if (draw.min_p > 0) {
    spec.within = static_cast<float>(-kernels::portable_log(draw.min_p) + kSlack);
  } else if (draw.top_k == 0) {
    spec.within = static_cast<float>(nucleus_depth(draw, vocab));
  }
  return spec;
}

[[noreturn]] void refuse_damaged() {
  throw Error("a logit is not a number: the model's weights are damaged, or too large for it");
}

void require_numbers(const kernels::Shortlist& list) {
  const auto is_none = [](double number) { return std::isnan(number); };
  if (std::ranges::any_of(list.log_sums, is_none) ||
      std::ranges::any_of(list.best, is_none, &Listed::logit)) {
    refuse_damaged();
  }
}

// What is written down as a log probability has to be one.
void require_finite(const kernels::Shortlist& list) {
  require_numbers(list);
  const bool named_is = list.named.id < 0 || std::isfinite(list.named.raw);
  const auto is_none = [](const Listed& listed) { return !std::isfinite(listed.raw); };
  if (named_is && std::ranges::none_of(list.best, is_none)) return;
  throw Error("a logit is infinite: the model's weights are damaged, or too large for it");
}

// First a block by its sum, then a token in it: what a choice among all tokens comes to, with far
// fewer random numbers.
void race(HeadPart& part, std::size_t row, const Draw& draw, const std::vector<double>& log_sums,
          Finding& finding) {
  std::size_t winner = 0;
  finding.score = -kInfinity;
  for (std::size_t b = 0; b < log_sums.size(); ++b) {
    const auto block = static_cast<std::int32_t>(part.first() / kernels::kHeadBlockRows + b);
    const double score = log_sums[b] + draw.stream.gumbel(draw.position, Stream::Use::block, block);
    if (score > finding.score) {
      finding.score = score;
      winner = b;
    }
  }
  const std::size_t first = part.first() + winner * kernels::kHeadBlockRows;
  const std::vector<float> logits = part.block(row, first);
  auto change = std::ranges::lower_bound(draw.changes, static_cast<std::int32_t>(first), {},
                                         &kernels::LogitChange::id);
  double best = -kInfinity;
  finding.candidates.resize(1);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto id = static_cast<std::int32_t>(first + i);
    float logit = logits[i];
    if (change != draw.changes.end() && change->id == id) logit = changed(logit, *change++);
    logit *= 1 / draw.temperature;
    const double score = logit + draw.stream.gumbel(draw.position, Stream::Use::token, id);
    if (score <= best) continue;
    best = score;
    finding.candidates[0] = {.id = id, .logit = logit, .raw = logits[i]};
  }
}

// What a choice is made from.
void find_candidates(HeadPart& part, std::size_t row, const Draw& draw, kernels::Shortlist& list,
                     Finding& finding) {
  require_numbers(list);
  if (!draw.is_greedy() && !cuts(draw)) return race(part, row, draw, list.log_sums, finding);
  finding.candidates = std::move(list.best);
  if (draw.is_greedy() || !shares_all(draw)) return;
  const double least = log_sum_exp(list.log_sums) - nucleus_depth(draw, part.vocab());
  const auto begin = finding.candidates.begin() + 1;  // the best stays
  finding.candidates.erase(
      std::partition_point(begin, finding.candidates.end(),
                           [&](const Listed& listed) { return listed.logit >= least; }),
      finding.candidates.end());
  finding.log_sums = std::move(list.log_sums);
}

// How many of the candidates, likeliest first, are kept.
std::size_t kept_of(const Draw& draw, std::span<const Listed> candidates,
                    std::span<const Finding> findings) {
  std::size_t kept = candidates.size();
  if (draw.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(draw.top_k));
  const double best = candidates[0].logit;
  if (draw.min_p > 0) {
    const double least = best + kernels::portable_log(draw.min_p);
    while (kept > 1 && candidates[kept - 1].logit < least) --kept;
  }
  if (!(draw.top_p < 1)) return kept;
  const auto weight = [&](std::size_t i) {
    return kernels::portable_exp(std::max(candidates[i].logit - best, -700.0));
  };
  double all = 0;
  if (shares_all(draw)) {
    std::vector<double> log_sums;
    for (const Finding& finding : findings) {
      log_sums.insert(log_sums.end(), finding.log_sums.begin(), finding.log_sums.end());
    }
    all = kernels::portable_exp(log_sum_exp(log_sums) - best);
  } else {
    for (std::size_t i = 0; i < kept; ++i) all += weight(i);
  }
  double before = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    if (i > 0 && before >= draw.top_p * all) return i;
    before += weight(i);
  }
  return kept;
}

Listed pick(const Draw& draw, std::span<const Finding> findings) {
  if (draw.is_given()) {
    const auto holder = std::ranges::find_if(
        findings, [](const Finding& finding) { return !finding.candidates.empty(); });
    if (holder == findings.end()) throw Error("no part of the head has the given token");
    return holder->candidates[0];
  }
  if (!draw.is_greedy() && !cuts(draw)) {
    return std::ranges::max_element(findings, {}, &Finding::score)->candidates.at(0);
  }
  std::vector<Listed> candidates;
  for (const Finding& finding : findings) {
    candidates.insert(candidates.end(), finding.candidates.begin(), finding.candidates.end());
  }
  if (candidates.empty()) refuse_damaged();  // a list passes over what is no number
  std::ranges::sort(candidates, [](const Listed& a, const Listed& b) {
    return kernels::ranks_before({a.id, a.logit}, {b.id, b.logit});
  });
  if (draw.is_greedy()) return candidates.at(0);
  const std::size_t kept = kept_of(draw, candidates, findings);
  double best = -kInfinity;
  Listed picked = candidates.at(0);
  for (const Listed& candidate : std::span(candidates).first(kept)) {
    const double score =
        candidate.logit + draw.stream.gumbel(draw.position, Stream::Use::token, candidate.id);
    if (score <= best) continue;
    best = score;
    picked = candidate;
  }
  return picked;
}

}  // namespace

std::vector<Finding> find(HeadPart& part, std::span<const Draw> draws) {
  std::vector<kernels::ShortlistSpec> specs;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    if (!draws[i].is_given()) specs.push_back(spec_of(draws[i], i, part.vocab()));
    if (draws[i].logprobs == kNoLogProbs) continue;
    specs.push_back({.row = i,
                     .k = static_cast<std::size_t>(std::max(draws[i].logprobs, 1)),
                     .sums = true,
                     .named = draws[i].given});
  }
  std::vector<kernels::Shortlist> lists = part.list(specs);
  std::vector<Finding> findings(draws.size());
  for (std::size_t i = 0, next = 0; i < draws.size(); ++i) {
    Finding& finding = findings[i];
    if (!draws[i].is_given()) find_candidates(part, i, draws[i], lists[next++], finding);
    if (draws[i].logprobs == kNoLogProbs) continue;
    kernels::Shortlist& model = lists[next++];
    require_finite(model);
    if (model.named.id >= 0) finding.candidates = {model.named};
    for (const Listed& listed : model.best) {
      finding.likeliest.push_back({.id = listed.id, .logit = listed.raw});
    }
    finding.model_log_sums = std::move(model.log_sums);
  }
  return findings;
}

Drawn choose(const Draw& draw, std::span<const Finding> findings) {
  const Listed picked = pick(draw, findings);
  Drawn drawn{.id = picked.id};
  if (draw.logprobs == kNoLogProbs) return drawn;
  std::vector<kernels::Candidate> likeliest;
  std::vector<double> log_sums;
  for (const Finding& finding : findings) {
    likeliest.insert(likeliest.end(), finding.likeliest.begin(), finding.likeliest.end());
    log_sums.insert(log_sums.end(), finding.model_log_sums.begin(), finding.model_log_sums.end());
  }
  const double log_sum = log_sum_exp(log_sums);
  drawn.logprob = picked.raw - log_sum;
  std::ranges::sort(likeliest, kernels::ranks_before);
  drawn.is_likeliest = !likeliest.empty() && likeliest[0].id == picked.id;
  likeliest.resize(std::min(likeliest.size(), static_cast<std::size_t>(draw.logprobs)));
  for (const auto& [id, logit] : likeliest) {
    drawn.top.push_back({.id = id, .logprob = logit - log_sum});
  }
  return drawn;
}

}  // namespace sluice::worker::sampling
