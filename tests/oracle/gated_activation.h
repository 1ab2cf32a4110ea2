#pragma once

#include <cmath>

namespace sluice::oracle {

inline double gated_activation(double gate, double up) { return gate / (1 + std::exp(-gate)) * up; }

}  // namespace sluice::oracle
