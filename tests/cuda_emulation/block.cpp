#include "tests/cuda_emulation/block.h"

#include <cuda_fp16.h>
#include <sys/mman.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/fibers.h"
#include "tests/cuda_emulation/limits.h"
#include "tests/cuda_emulation/sanitizers.h"

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

namespace emulation {
namespace {

constexpr unsigned kLanes = 32;

std::string text(Site site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}
std::string text(const uint3& at) {
  return "(" + std::to_string(at.x) + "," + std::to_string(at.y) + "," + std::to_string(at.z) + ")";
}
bool same(Site a, Site b) {
  return a.line() == b.line() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

const char* name(WarpKind kind) {
  switch (kind) {
    case WarpKind::sync:
      return "__syncwarp()";
    case WarpKind::shuffle_from:
      return "__shfl_sync()";
    case WarpKind::shuffle_up:
      return "__shfl_up_sync()";
    case WarpKind::shuffle_down:
      return "__shfl_down_sync()";
    case WarpKind::shuffle_xor:
      return "__shfl_xor_sync()";
    case WarpKind::ballot:
      return "__ballot_sync()";
    case WarpKind::mma:
      return "mma";
  }
  return "";
}

enum class State : std::uint8_t { fresh, ready, at_barrier, in_warp, done };

struct Thread {
  Fiber fiber;
  unsigned index = 0;
  uint3 id{};
  State state = State::fresh;
  const char* waits_in = "";
  Site site;
};

// Lanes that come together for one operation of their warp.
struct Meeting {
  unsigned mask = 0, arrived = 0;  // mask 0: none
  WarpKind kind = WarpKind::sync;
  Site site;
  std::array<WarpRequest*, kLanes> requests{};
};
struct Warp {
  unsigned gone = 0;  // lanes that have returned or never were
  std::array<Meeting, kLanes> meetings;
};

// NaN in fp32 and f16. Not by memset, which sanitizers would take for an access of the kernel's.
void fill_with_nan(std::byte* at, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) reinterpret_cast<volatile unsigned char*>(at)[i] = 0xff;
}

// One kernel's layout, ending where a page that nobody may touch begins.
class SharedMemory {
 public:
  SharedMemory() {
    void* at = mmap(nullptr, kBytes + 2 * kGuardBytes, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) std::abort();
    begin_ = static_cast<std::byte*>(at) + kGuardBytes;
    renew();
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  // Of another block. A fresh mapping makes TSan forget who touched the one before.
  void renew() {
    if (layout_ == nullptr || with_tsan()) {
      mmap(begin_, kBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
    poison(begin_, kBytes);
    layout_ = nullptr;
  }
  // Null: not what the block's other threads took for its layout, or too much.
  void* layout(std::size_t bytes, std::size_t align) {
    if (layout_ == nullptr && bytes <= kStaticSharedBytesMax) {
      bytes_ = bytes;
      slack_ = (align - bytes % align) % align;
      layout_ = begin_ + kBytes - bytes - slack_;
      unpoison(layout_, bytes);
      fill_with_nan(layout_, bytes + (with_asan() ? 0 : slack_));
    }
    return bytes == bytes_ ? layout_ : nullptr;
  }
  bool slack_was_written() const {
    if (layout_ == nullptr || with_asan()) return false;
    for (std::size_t i = 0; i < slack_; ++i) {
      if (layout_[bytes_ + i] != std::byte{0xff}) return true;
    }
    return false;
  }
  bool guards(const void* at) const {
    const auto* p = static_cast<const std::byte*>(at);
    return p >= begin_ - kGuardBytes && p < begin_ + kBytes + kGuardBytes;
  }

 private:
  static constexpr std::size_t kBytes = 64 << 10;
  std::byte* begin_ = nullptr;
  std::byte* layout_ = nullptr;
  std::size_t bytes_ = 0, slack_ = 0;
};

class Block {
 public:
  void begin_grid(const Launch& launch, const std::function<void()>& body);
  bool run(std::uint64_t number);
  // What all blocks did happened before what comes now; not one block's before the next one's.
  void end_grid() { acquire(&end_token_); }

  int barrier(BarrierKind kind, int predicate, Site site);
  void warp(WarpRequest& request, Site site);
  void fence();
  void* shared_memory(std::size_t bytes, std::size_t align);

  bool running() const { return running_ != nullptr; }
  std::string where() const;
  std::string describe_fault(const void* at) const;
  [[noreturn]] void give_up();
  [[noreturn]] void fail(cudaError_t error, const std::string& message);

 private:
  static void thread_main();
  void finish();  // of the thread that runs: goes on with another
  void start(std::uint64_t number);
  void make_ready(Thread& thread);
  Thread* next();
  void prepare_fresh(Thread& thread);
  void enter(Thread& thread);
  void wait(State state, const char* in, Site site);
  void open_barrier();
  void complete(Meeting& meeting);
  std::uint64_t answer(const Meeting& meeting, int lane);
  void multiply(const Meeting& meeting);
  [[noreturn]] void deadlock();

  const Launch* launch_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  Fiber program_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  Thread* running_ = nullptr;
  unsigned alive_ = 0;
  bool failed_ = false;
  std::array<Thread*, kThreadsPerBlockMax> ready_{};  // a ring
  unsigned ready_first_ = 0, ready_count_ = 0;
  std::minstd_rand random_;

  BarrierKind barrier_kind_ = BarrierKind::plain;
  Site barrier_site_;
  unsigned at_barrier_ = 0;
  int barrier_count_ = 0, barrier_result_ = 0;

  SharedMemory shared_;
  // TSan: identities of threads, each with the one stack that it ever has. More than a block needs,
  // so that the next block's threads are others.
  static constexpr unsigned kSpareIdentities = 61;
  std::vector<Fiber> identities_;
  char barrier_token_ = 0, fence_token_ = 0, begin_token_ = 0, end_token_ = 0;
};

thread_local Block* this_block = nullptr;
Block& block() {
  if (this_block == nullptr) this_block = new Block;  // lives as long as the thread's other state
  return *this_block;
}

void Block::begin_grid(const Launch& launch, const std::function<void()>& body) {
  launch_ = &launch;
  body_ = &body;
  blockDim = launch.block;
  gridDim = launch.grid;
  random_.seed(static_cast<unsigned>(settings().seed));
  adopt(program_);
}

void Block::start(std::uint64_t number) {
  const dim3 grid = launch_->grid, size = launch_->block;
  blockIdx = {static_cast<unsigned>(number % grid.x),
              static_cast<unsigned>(number / grid.x % grid.y),
              static_cast<unsigned>(number / grid.x / grid.y)};
  const unsigned count = size.x * size.y * size.z;
  threads_.assign(count, {});
  warps_.assign((count + kLanes - 1) / kLanes, {});
  if (count % kLanes != 0) warps_.back().gone = ~0u << (count % kLanes);
  alive_ = count;
  at_barrier_ = 0;
  ready_first_ = ready_count_ = 0;
  failed_ = false;
  shared_.renew();
  while (with_tsan() && identities_.size() < count + kSpareIdentities) {
    identities_.push_back({.stack = take_stack(), .tsan = __tsan_create_fiber(0)});
  }
  for (unsigned i = 0; i < count; ++i) {
    Thread& thread = threads_[i];
    thread.index = i;
    thread.id = {i % size.x, i / size.x % size.y, i / size.x / size.y};
    if (with_tsan()) {
      thread.fiber = identities_[(i + number * kSpareIdentities) % identities_.size()];
      const std::string name = "block " + text(blockIdx) + " thread " + text(thread.id);
      __tsan_set_fiber_name(thread.fiber.tsan, name.c_str());
    }
  }
  for (unsigned i = 0; i < count; ++i) {
    make_ready(threads_[settings().order == Order::descending ? count - 1 - i : i]);
  }
}

bool Block::run(std::uint64_t number) {
  start(number);
  release(&begin_token_);
  Thread& first = *next();
  prepare_fresh(first);
  enter(first);
  switch_fiber(program_, first.fiber);
  if (!failed_ && shared_.slack_was_written()) {
    report_error(cudaErrorIllegalAddress, "write past the end of shared memory" + where());
    failed_ = true;
  }
  running_ = nullptr;
  for (Thread& thread : threads_) {  // given up in the middle
    if (thread.fiber.stack.base != nullptr && !with_tsan()) give_back(thread.fiber.stack);
  }
  Counters& sum = counters();
  ++sum.blocks;
  sum.threads += threads_.size();
  return !failed_;
}

void Block::make_ready(Thread& thread) {
  if (thread.state != State::fresh) thread.state = State::ready;
  ready_[(ready_first_ + ready_count_++) % ready_.size()] = &thread;
}

Thread* Block::next() {
  if (ready_count_ == 0) return nullptr;
  if (settings().order == Order::random) {
    std::swap(ready_[ready_first_],
              ready_[(ready_first_ + random_() % ready_count_) % ready_.size()]);
  }
  Thread* thread = ready_[ready_first_];
  ready_first_ = (ready_first_ + 1) % ready_.size();
  --ready_count_;
  return thread;
}

void Block::prepare_fresh(Thread& thread) {
  if (thread.state != State::fresh) return;
  thread.state = State::ready;
  if (!with_tsan()) thread.fiber.stack = take_stack();
  prepare(thread.fiber, &thread_main);
}

void Block::enter(Thread& thread) {
  running_ = &thread;
  threadIdx = thread.id;
}

void Block::thread_main() {
  for (;;) {
    Block& self = *this_block;
    acquire(&self.begin_token_);
    (*self.body_)();
    release(&self.end_token_);
    self.finish();
  }
}

// Returns where the next thread begins on the stack of the one that has ended.
void Block::finish() {
  Thread& ended = *running_;
  ended.state = State::done;
  --alive_;
  const unsigned bit = 1u << ended.index % kLanes;
  Warp& warp = warps_[ended.index / kLanes];
  warp.gone |= bit;
  for (const Meeting& meeting : warp.meetings) {
    if ((meeting.mask & bit) != 0) {
      fail(cudaErrorLaunchFailure, std::string("a lane has returned that others wait for in ") +
                                       name(meeting.kind) + " at " + text(meeting.site));
    }
  }
  if (at_barrier_ > 0 && at_barrier_ == alive_) open_barrier();
  Thread* following = next();
  if (following == nullptr && alive_ > 0) deadlock();
  if (following != nullptr && following->state == State::fresh && !with_tsan()) {
    following->fiber.stack = std::exchange(ended.fiber.stack, {});
    following->state = State::ready;
    enter(*following);
    return;
  }
  if (!with_tsan()) give_back(std::exchange(ended.fiber.stack, {}));
  if (following == nullptr) leave_for(program_);
  prepare_fresh(*following);  // where TSan gives each a stack of its own
  enter(*following);
  leave_for(following->fiber);
}

void Block::wait(State state, const char* in, Site site) {
  Thread& me = *running_;
  me.state = state;
  me.waits_in = in;
  me.site = site;
  Thread* other = next();
  if (other == nullptr) deadlock();
  prepare_fresh(*other);
  enter(*other);
  if (other != &me) switch_fiber(me.fiber, other->fiber);
}

int Block::barrier(BarrierKind kind, int predicate, Site site) {
  if (at_barrier_ == 0) {
    barrier_kind_ = kind;
    barrier_site_ = site;
    barrier_count_ = 0;
  } else if (!same(site, barrier_site_)) {
    fail(cudaErrorLaunchFailure,
         "divergent barrier: here at " + text(site) + ", other threads at " + text(barrier_site_));
  }
  barrier_count_ += predicate != 0;
  ++at_barrier_;
  release(&barrier_token_);
  running_->state = State::at_barrier;
  if (at_barrier_ == alive_) open_barrier();
  wait(running_->state, "__syncthreads()", site);
  acquire(&barrier_token_);
  return barrier_result_;
}

void Block::open_barrier() {
  const auto size = static_cast<unsigned>(threads_.size());
  if (alive_ != size) {
    fail(cudaErrorLaunchFailure,
         "divergent barrier: " + std::to_string(size - alive_) + " of " + std::to_string(size) +
             " threads had returned before the one at " + text(barrier_site_));
  }
  ++counters().barriers;
  at_barrier_ = 0;
  barrier_result_ = barrier_kind_ == BarrierKind::all   ? barrier_count_ == static_cast<int>(size)
                    : barrier_kind_ == BarrierKind::any ? barrier_count_ > 0
                                                        : barrier_count_;
  for (unsigned i = 0; i < size; ++i) {
    make_ready(threads_[settings().order == Order::descending ? size - 1 - i : i]);
  }
}

void Block::warp(WarpRequest& request, Site site) {
  const unsigned lane = running_->index % kLanes, bit = 1u << lane;
  Warp& warp = warps_[running_->index / kLanes];
  const auto what = [&] { return std::string(name(request.kind)) + " at " + text(site); };
  if ((request.mask & bit) == 0) {
    fail(cudaErrorLaunchFailure, what() + ": its mask leaves out the lane that calls");
  }
  if ((request.mask & warp.gone) != 0) {
    fail(cudaErrorLaunchFailure, what() + ": lanes of its mask have returned, or do not exist");
  }
  Meeting* meeting = nullptr;
  for (Meeting& other : warp.meetings) {
    if (other.mask == 0) {
      if (meeting == nullptr) meeting = &other;
    } else if (other.mask == request.mask && other.kind == request.kind && same(other.site, site)) {
      meeting = &other;
      break;
    } else if ((other.mask & request.mask) != 0) {
      fail(cudaErrorLaunchFailure, what() + ": lanes of its mask are in " + name(other.kind) +
                                       " at " + text(other.site) + ", or have another mask");
    }
  }
  if (meeting->mask == 0) {
    *meeting = {.mask = request.mask, .kind = request.kind, .site = site};
  }
  meeting->arrived |= bit;
  meeting->requests[lane] = &request;
  if (request.kind == WarpKind::sync) release(&warp);
  if (meeting->arrived == meeting->mask) {
    complete(*meeting);
  } else {
    wait(State::in_warp, name(request.kind), site);
  }
  if (request.kind == WarpKind::sync) acquire(&warp);
}

void Block::complete(Meeting& meeting) {
  ++counters().warp_operations;
  std::array<std::uint64_t, kLanes> answers{};
  if (meeting.kind == WarpKind::mma) {
    multiply(meeting);
  } else {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if ((meeting.mask >> lane & 1) != 0) answers[lane] = answer(meeting, static_cast<int>(lane));
    }
  }
  const unsigned first = running_->index / kLanes * kLanes;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((meeting.mask >> lane & 1) == 0) continue;
    meeting.requests[lane]->value = answers[lane];
    if (&threads_[first + lane] != running_) make_ready(threads_[first + lane]);
  }
  meeting.mask = 0;
}

std::uint64_t Block::answer(const Meeting& meeting, int lane) {
  const WarpRequest& request = *meeting.requests[static_cast<std::size_t>(lane)];
  const int width = request.width, first = lane / width * width;
  int source = lane;
  switch (meeting.kind) {
    case WarpKind::sync:
    case WarpKind::mma:
      return 0;
    case WarpKind::ballot: {
      std::uint64_t bits = 0;
      for (std::size_t i = 0; i < kLanes; ++i) {
        if ((meeting.mask >> i & 1) != 0 && meeting.requests[i]->value != 0) bits |= 1ull << i;
      }
      return bits;
    }
    case WarpKind::shuffle_from:
      source = first + (request.argument & (width - 1));
      break;
    case WarpKind::shuffle_up:
      if (lane - request.argument >= first) source = lane - request.argument;
      break;
    case WarpKind::shuffle_down:
      if (lane + request.argument < first + width) source = lane + request.argument;
      break;
    case WarpKind::shuffle_xor:
      if ((lane ^ request.argument) < first + width) source = lane ^ request.argument;
      break;
  }
  if ((meeting.mask >> source & 1) == 0) {
    fail(cudaErrorLaunchFailure, std::string(name(meeting.kind)) + " at " + text(meeting.site) +
                                     ": lane " + std::to_string(lane) + " reads lane " +
                                     std::to_string(source) + ", which takes no part");
  }
  return meeting.requests[static_cast<std::size_t>(source)]->value;
}

// C (16 x 8) += A (16 x K) B (K x 8), fragments as in "Warp-level matrix fragment for mma.m16n8k8"
// and "... mma.m16n8k16" of NVIDIA's PTX ISA: with g = lane / 4 and t = lane % 4 a lane has, of
// each eight of K, A's rows g and g + 8 and B's column g at 2t and 2t + 1; of C rows g and g + 8,
// columns 2t and 2t + 1.
void Block::multiply(const Meeting& meeting) {
  if (meeting.mask != ~0u) fail(cudaErrorLaunchFailure, "mma wants all 32 lanes");
  const int k_groups = meeting.requests[0]->k_groups;
  float a[16][16], b[16][8];
  const auto halves = [](unsigned pair, float& low, float& high) {
    const __half2 both(__half2_raw(std::bit_cast<__half2_raw>(pair)));
    low = __low2float(both);
    high = __high2float(both);
  };
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const WarpRequest& request = *meeting.requests[lane];
    const std::size_t g = lane / 4, t = lane % 4;
    for (int group = 0; group < k_groups; ++group) {
      const auto k = static_cast<std::size_t>(8 * group) + 2 * t;
      halves(request.a[2 * group], a[g][k], a[g][k + 1]);
      halves(request.a[2 * group + 1], a[g + 8][k], a[g + 8][k + 1]);
      halves(request.b[group], b[k][g], b[k + 1][g]);
    }
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = lane / 4 + i / 2 * 8, col = lane % 4 * 2 + i % 2;
      float sum = meeting.requests[lane]->c[i];
      for (int k = 0; k < 8 * k_groups; ++k) sum += a[row][k] * b[k][col];
      meeting.requests[lane]->c[i] = sum;
    }
  }
}

void Block::fence() {
  acquire(&fence_token_);
  release(&fence_token_);
}

void* Block::shared_memory(std::size_t bytes, std::size_t align) {
  void* layout = shared_.layout(bytes, align);
  if (layout == nullptr) {
    fail(cudaErrorLaunchFailure, "shared memory of " + std::to_string(bytes) +
                                     " bytes: a kernel has one layout of at most " +
                                     std::to_string(kStaticSharedBytesMax));
  }
  return layout;
}

std::string Block::where() const {
  return std::string(" [") + launch_->kernel + ", block " + text(blockIdx) + ", thread " +
         text(running_->id) + "]";
}

std::string Block::describe_fault(const void* at) const {
  const std::byte* stack = running_->fiber.stack.base;
  if (at >= stack - kGuardBytes && at < stack) {
    return "a thread's stack is full (a large local array, or recursion)";
  }
  return shared_.guards(at) ? "shared memory: out of bounds" : "";
}

void Block::give_up() {
  failed_ = true;
  release(&end_token_);
  leave_for(program_);
}

void Block::fail(cudaError_t error, const std::string& message) {
  report_error(error, message + where());
  give_up();
}

void Block::deadlock() {
  std::map<std::string, int> waiting;
  for (const Thread& thread : threads_) {
    if (thread.state == State::at_barrier || thread.state == State::in_warp) {
      ++waiting[std::string(thread.waits_in) + " at " + text(thread.site)];
    }
  }
  std::string message = "deadlock: " + std::to_string(threads_.size() - alive_) + " of " +
                        std::to_string(threads_.size()) +
                        " threads have returned, the others wait for each other:";
  for (const auto& [what, count] : waiting) {
    message += "\n  " + std::to_string(count) + " in " + what;
  }
  fail(cudaErrorLaunchTimeout, message);
}

}  // namespace

int barrier(BarrierKind kind, int predicate, Site site) {
  return block().barrier(kind, predicate, site);
}
void warp(WarpRequest& request, Site site) { block().warp(request, site); }
void fence() { block().fence(); }
void* shared_memory(std::size_t bytes, std::size_t align) {
  return block().shared_memory(bytes, align);
}

bool run_grid(const Launch& launch, const std::function<void()>& thread) {
  ++counters().launches;
  ++counters().launches_of[launch.function];
  Block& runner = block();
  runner.begin_grid(launch, thread);
  const dim3 grid = launch.grid;
  const std::uint64_t blocks = static_cast<std::uint64_t>(grid.x) * grid.y * grid.z;
  const Order order = settings().order;
  const std::uint64_t shift = order == Order::random ? settings().seed * 2654435761u % blocks : 0;
  bool well = true;
  for (std::uint64_t i = 0; well && i < blocks; ++i) {
    well = runner.run(order == Order::descending ? blocks - 1 - i : (i + shift) % blocks);
  }
  runner.end_grid();
  return well;
}

bool in_kernel() { return this_block != nullptr && this_block->running(); }
std::string describe_fault(const void* at) { return this_block->describe_fault(at); }
void fail_kernel(cudaError_t error, const std::string& message) {
  this_block->fail(error, message);
}

}  // namespace emulation

// To LeakSanitizer: a kernel that is given up leaves messages on its threads' stacks.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:cuda_emulation/block.cpp\nleak:cuda_emulation/memory.cpp\n";
}
