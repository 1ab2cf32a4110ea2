// Reports as tables, lines and JSON. Pure.
#pragma once

#include <string>

#include "scheduler/cli/table.h"
#include "scheduler/report.h"

namespace sluice::scheduler::cli {

std::string heading(const ScalingReport& report);     // "Strong scaling"
std::string conditions(const ScalingReport& report);  // model, prompts, settings, repeats, baseline

// The reference's columns and what stands beside them; titles are short where people read a
// terminal.
Table points_table(const ScalingReport& report, bool short_titles);
// Of each point's usual run: a row a stage, whose parts sum to the wall-clock.
Table breakdown_table(const ScalingReport& report);
// Why efficiency was lost: parts sum to 1 - efficiency.
Table losses_table(const ScalingReport& report);

std::string report_json(const ScalingReport& report);                 // one object
std::string report_text(const ScalingReport& report, Format format);  // table or md

}  // namespace sluice::scheduler::cli
