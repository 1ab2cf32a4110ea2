#include "tests/worker/logits.h"

#include <algorithm>
#include <span>

#include "kernels/cpu.h"
#include "worker/model/forward.h"
#include "worker/model/kv_pages.h"

namespace sluice::worker {

std::vector<float> logits_of(const model::Model& model, const std::vector<std::int32_t>& prompt,
                             int chunk) {
  const auto backend = kernels::make_cpu_backend(kernels::Precision::exact);
  const model::StageRange all{
      .first = 0, .end = model.config().layers, .has_embedding = true, .has_head = true};
  const int tokens = static_cast<int>(prompt.size());
  const auto layout = model::kv_layout(model.config(), chunk);
  const model::KvRoom room = pages_of_sequence(layout, tokens);
  model::SequencePages pages = model::PagePool(room, layout).reserve(tokens);
  std::ranges::reverse(pages.full);
  std::ranges::reverse(pages.ring);
  model::Forward forward(*backend, model.config(), load_stage(model, all, *backend),
                         {.rows_max = chunk, .kv_room = room, .kv_type = kernels::KvType::f32});
  for (int first = 0, end; first < tokens; first = end) {
    end = std::min(tokens, first + chunk);
    std::vector<kernels::Row> rows;
    for (int p = first; p < end; ++p) rows.push_back({.sequence = 0, .position = p});
    const std::vector<std::span<const std::int32_t>> tables{pages.full}, rings{pages.ring};
    forward.begin(rows, tables, rings);
    forward.embed(std::span(prompt).subspan(static_cast<std::size_t>(first), rows.size()));
    forward.layers([] {});
    if (end < tokens) continue;
    const int vocab = model.config().vocab;
    std::vector<kernels::Candidate> ranked(static_cast<std::size_t>(vocab));
    const std::vector<int> last{static_cast<int>(rows.size()) - 1};
    forward.present(last);
    forward.select(vocab, ranked);
    forward.finish([] {});
    std::vector<float> logits(ranked.size());
    for (const auto& candidate : ranked) {
      logits[static_cast<std::size_t>(candidate.id)] = candidate.logit;
    }
    return logits;
  }
  return {};
}

}  // namespace sluice::worker
