// How fast one core reads memory: what bounds a decode step, whose weights come from there.
#pragma once

namespace sluice::worker {

// Bytes a second of a sum over a buffer far larger than the last cache, in 2 MiB pages where the
// system has them: the best of several passes, some 0.3 s. Throws std::bad_alloc.
double measure_read_bandwidth();

}  // namespace sluice::worker
