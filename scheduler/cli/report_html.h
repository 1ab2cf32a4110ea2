// Reports as one HTML page that needs nothing else: styles, figures, plots and the library that
// draws them (Chart.js) are in it.
#pragma once

#include <string>
#include <vector>

#include "db/store.h"
#include "scheduler/report.h"

namespace sluice::scheduler::cli {

std::string report_page(const db::Store& store, const std::vector<ScalingReport>& reports);

}  // namespace sluice::scheduler::cli
