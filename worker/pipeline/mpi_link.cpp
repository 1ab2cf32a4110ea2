#include "worker/pipeline/mpi_link.h"

#include <mpi.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <map>
#include <utility>

#include "worker/error.h"
#include "worker/pipeline/patience.h"

namespace sluice::worker::pipeline {
namespace {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(std::string(call) + ": " +
              std::string(text.data(), static_cast<std::size_t>(length)));
}

constexpr std::chrono::seconds kFlush{10};

int count_of(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw Error("a message of " + std::to_string(bytes) +
                " bytes is more than MPI can count: use a "
                "smaller token budget");
  }
  return static_cast<int>(bytes);
}

// Messages of one sender on one channel: a ring of receives, posted ahead. MPI matches them in the
// order they were posted, so the oldest is always the next to complete.
class Inbox {
 public:
  Inbox(int from, Channel channel, std::size_t bytes_max, int depth)
      : from_(from), tag_(static_cast<int>(channel)), slots_(static_cast<std::size_t>(depth)) {
    for (Slot& slot : slots_) {
      slot.buffer.resize(bytes_max);
      post(slot);
    }
  }

  std::optional<Bytes> take() {
    Slot& slot = slots_[oldest_];
    int arrived = 0;
    MPI_Status status;
    check(MPI_Test(&slot.request, &arrived, &status), "MPI_Test");
    if (!arrived) return std::nullopt;
    int count = 0;
    check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
    Bytes message(slot.buffer.begin(), slot.buffer.begin() + count);
    post(slot);
    oldest_ = (oldest_ + 1) % slots_.size();
    return message;
  }

  void progress() {
    int arrived = 0;
    check(MPI_Request_get_status(slots_[oldest_].request, &arrived, MPI_STATUS_IGNORE),
          "MPI_Request_get_status");
  }

  void cancel() noexcept {
    for (Slot& slot : slots_) {
      MPI_Cancel(&slot.request);
      MPI_Wait(&slot.request, MPI_STATUS_IGNORE);
    }
  }

 private:
  struct Slot {
    Bytes buffer;
    MPI_Request request = MPI_REQUEST_NULL;
  };

  void post(Slot& slot) {
    check(MPI_Irecv(slot.buffer.data(), count_of(slot.buffer.size()), MPI_BYTE, from_, tag_,
                    MPI_COMM_WORLD, &slot.request),
          "MPI_Irecv");
  }

  int from_, tag_;
  std::vector<Slot> slots_;
  std::size_t oldest_ = 0;
};

class MpiLink : public Link {
 public:
  MpiLink() {
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  }

  ~MpiLink() override {
    flush();
    for (auto& [address, inbox] : inboxes_) inbox.cancel();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void expect(int from, Channel channel, std::size_t bytes_max, int depth) override {
    inboxes_.try_emplace({from, channel}, from, channel, bytes_max, depth);
  }

  void send(int to, Channel channel, Bytes message) override {
    drop_sent();
    requests_.push_back(MPI_REQUEST_NULL);
    messages_.push_back(std::move(message));
    const Bytes& bytes = messages_.back();
    check(MPI_Isend(bytes.data(), count_of(bytes.size()), MPI_BYTE, to, static_cast<int>(channel),
                    MPI_COMM_WORLD, &requests_.back()),
          "MPI_Isend");
  }

  std::optional<Bytes> receive(int from, Channel channel) override {
    return inboxes_.at({from, channel}).take();
  }

  // Any test moves all messages on, whichever is asked about, and takes microseconds where nothing
  // has come: so receive() makes one, and what was sent is looked at when more is.
  void progress() override {
    if (!inboxes_.empty()) {
      inboxes_.begin()->second.progress();
    } else {
      drop_sent();
    }
  }

 private:
  // Until every sent message has left; a peer may be gone, so not for ever. What is left then keeps
  // its bytes until the process ends: MPI still looks at them.
  void flush() noexcept {
    const auto deadline = std::chrono::steady_clock::now() + kFlush;
    try {
      for (Patience patience; !requests_.empty(); patience.pause()) {
        if (std::chrono::steady_clock::now() > deadline) break;
        drop_sent();
      }
    } catch (const Error&) {
      // The world is broken; whoever tore it down says so.
    }
    static std::vector<Bytes> undelivered;
    undelivered = std::move(messages_);
  }

  void drop_sent() {
    if (requests_.empty()) return;
    done_.resize(requests_.size());
    int n = 0;
    check(MPI_Testsome(count_of(requests_.size()), requests_.data(), &n, done_.data(),
                       MPI_STATUSES_IGNORE),
          "MPI_Testsome");
    if (n <= 0) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      if (kept != i) {
        requests_[kept] = requests_[i];
        messages_[kept] = std::move(messages_[i]);
      }
      ++kept;
    }
    requests_.resize(kept);
    messages_.resize(kept);
  }

  int rank_ = 0, size_ = 1;
  std::map<std::pair<int, Channel>, Inbox> inboxes_;
  std::vector<MPI_Request> requests_;  // of messages on their way out, beside
  std::vector<Bytes> messages_;        // the bytes, which do not move when a vector does
  std::vector<int> done_;
};

NodePlace find_place() {
  NodePlace place;
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  int length = 0;
  check(MPI_Get_processor_name(host.data(), &length), "MPI_Get_processor_name");
  place.host.assign(host.data(), static_cast<std::size_t>(length));
  MPI_Comm node;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
        "MPI_Comm_split_type");
  check(MPI_Comm_rank(node, &place.local_rank), "MPI_Comm_rank");
  check(MPI_Comm_size(node, &place.local_size), "MPI_Comm_size");
  check(MPI_Comm_free(&node), "MPI_Comm_free");
  return place;
}

}  // namespace

MpiWorld::MpiWorld() {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (provided < MPI_THREAD_FUNNELED) {
    throw Error(
        "this MPI does not allow threads beside the one that talks MPI "
        "(MPI_THREAD_FUNNELED): use another build of it");
  }
  link_ = std::make_unique<MpiLink>();
  place_ = find_place();
}

MpiWorld::~MpiWorld() {
  link_.reset();
  MPI_Finalize();
}

void MpiWorld::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();  // MPI_Abort does not return
}

}  // namespace sluice::worker::pipeline
