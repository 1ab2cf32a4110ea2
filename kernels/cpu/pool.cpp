#include "kernels/cpu/pool.h"

#include <algorithm>
#include <exception>
#include <string>

#include "kernels/error.h"

namespace sluice::kernels::cpu {
namespace {

constexpr int kSpins = 4000;  // some 20 to 50 us

void pause_briefly() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// Until `changed`; then true, or false after kSpins.
template <class Changed>
bool spin(Changed changed) {
  for (int i = 0; i < kSpins; ++i) {
    if (changed()) return true;
    pause_briefly();
  }
  return false;
}

}  // namespace

Pool::Pool(int threads) {
  try {
    for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { help(i); });
  } catch (const std::exception& error) {
    end();
    throw Error("cannot start " + std::to_string(threads) + " threads (" + error.what() +
                "): ask for fewer");
  }
}

Pool::~Pool() { end(); }

void Pool::end() {
  ending_ = true;
  ++round_;
  round_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void Pool::run(const std::function<void(int)>& work) {
  if (helpers_.empty()) return work(0);
  work_ = &work;
  busy_ = static_cast<int>(helpers_.size());
  ++round_;
  round_.notify_all();
  work(0);
  for (int left = busy_; left > 0; left = busy_) {
    if (!spin([&] { return busy_ == 0; })) std::this_thread::yield();
  }
}

void Pool::help(int index) {
  for (std::uint32_t seen = 0;;) {
    if (!spin([&] { return round_ != seen; })) round_.wait(seen);
    seen = round_;
    if (ending_) return;
    (*work_)(index);
    --busy_;
  }
}

Share share_of(std::size_t count, std::size_t step, int part, int parts) {
  const std::size_t steps = (count + step - 1) / step;
  const auto end_of = [&](int p) {
    return std::min(count,
                    steps * static_cast<std::size_t>(p) / static_cast<std::size_t>(parts) * step);
  };
  return {end_of(part), end_of(part + 1) - end_of(part)};
}

}  // namespace sluice::kernels::cpu
