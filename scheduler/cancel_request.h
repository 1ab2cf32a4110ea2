// The file Layout::cancel_request(): there since somebody asked for the end of the job. The script,
// the worker and the supervisor only look whether it is there; ticks keep in it when the cluster
// was last asked. Functions throw jobs::Error.
#pragma once

#include "jobs/layout.h"

namespace sluice::scheduler {

void publish_cancel_request(const jobs::Layout& layout);  // unless it is there
bool is_cancel_requested(const jobs::Layout& layout);
void withdraw_cancel_request(const jobs::Layout& layout);

void note_cancel_asked(const jobs::Layout& layout, double now_unix_s);  // if it is there
double cancel_asked_unix_s(const jobs::Layout& layout);                 // 0: not yet

}  // namespace sluice::scheduler
