// Where the prompts of a replica come from: world rank 0 deals ranges of them to the leaders of all
// replicas, one ahead of need, and passes on the word to stop. Rank 0 leads a replica itself: it
// deals between its steps and while it waits, and waits for nobody before its own work is done.
// Used by the thread that talks to the link.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "worker/batch/prompt_ranges.h"
#include "worker/pipeline/link.h"
#include "worker/ranged_prompts.h"

namespace sluice::worker {

class Supply {
 public:
  // On every leader of the world. `deals`: on rank 0, what there is to deal.
  Supply(pipeline::Link& world, int stages, RangedPrompts& prompts,
         std::optional<batch::RangeDealer> deals);

  // Deals, or takes what was dealt; hungry: another range is needed here. Call it often.
  void attend(bool hungry);

  void stop();                               // this replica stops early, and so shall all
  bool stopped() const { return stopped_; }  // one of them does

  // The last call: nothing more is needed here. Rank 0 deals on until all have said so.
  void leave();

 private:
  bool deals_here() const { return world_.rank() == 0; }
  int leader_of(int replica) const { return replica * stages_; }
  void deal_to(int replica);
  void answer_leaders();
  void read_deals();
  void take(std::optional<batch::PromptRange> range);
  void ask();

  pipeline::Link& world_;
  const int stages_, replicas_;
  RangedPrompts& prompts_;
  std::optional<batch::RangeDealer> deals_;
  std::deque<batch::PromptRange> spares_;  // dealt, not needed yet
  int owed_ = 0;                           // asked for, not dealt yet
  bool none_left_ = false, stopped_ = false;
  int others_gone_ = 0;  // rank 0: leaders that have left
};

}  // namespace sluice::worker
