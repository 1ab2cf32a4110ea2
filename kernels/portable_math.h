// Elementary functions in double precision whose bits depend on nothing but their argument: plain
// IEEE operations in a fixed order, where libm differs between versions and CPU types. What reaches
// a token is computed with these.
#pragma once

namespace sluice::kernels {

double portable_log(double x);  // Requires: x positive, finite, normal
double portable_exp(double x);  // Requires: |x| <= 700

struct SineCosine {
  double sine = 0, cosine = 0;
};
// Requires: 0 <= radians <= 2^21. Within 1.1 ulp, beside the zeros too.
SineCosine portable_sine_cosine(double radians);

}  // namespace sluice::kernels
