// Bytes on their way between the host and the device, beside what computes. They cross in blocks:
// pinned memory of the host's and as much of the device's. Two streams copy within blocks, and the
// compute stream between blocks and tensors, so that a tensor is never in use by a copy: what comes
// next may write it at once. A block is taken again when an event after it has completed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/compute_queue.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/memory.h"

namespace sluice::kernels::cuda {

struct Block {
  PinnedBytes host;
  DeviceBytes device;
  std::size_t bytes = 0;
};

class BlockPool : public std::enable_shared_from_this<BlockPool> {
 public:
  struct GiveBack {
    std::shared_ptr<BlockPool> pool;
    void operator()(Block* block) const { pool->free_.emplace_back(block); }
  };
  using Lent = std::unique_ptr<Block, GiveBack>;
  Lent take(std::size_t bytes);

 private:
  std::vector<std::unique_ptr<Block>> free_;
};

// `event`: the number of the one that will be recorded next.
class Transfers {
 public:
  Transfers(ComputeQueue& compute, EventPool& events) : compute_(compute), events_(events) {}

  BlockPool::Lent take(std::size_t bytes) { return blocks_->take(bytes); }
  // The first bytes of a block to the device, before kernels that come from now on. The block stays
  // its owner's.
  void send(const Block& block, std::size_t bytes, std::uint64_t event);
  // The same of bytes of the host's, which may be changed at once. The copy is there for kernels
  // up to the event.
  const std::byte* bring(const void* from, std::size_t bytes, std::uint64_t event);
  void upload(const void* from, std::byte* to, std::size_t bytes, std::uint64_t event);
  // `to` is filled by finish().
  void download(const void* from, std::span<std::byte> to, std::uint64_t event);

  // What enters this stream waits for all downloads so far.
  cudaStream_t out() const { return out_.get(); }
  cudaStream_t in() const { return in_.get(); }
  // The event of that number, of a stream that waits for all, has completed.
  void finish(std::uint64_t event);
  double copied_s() const { return copied_s_; }  // of all that are finished

 private:
  struct Copy {
    std::uint64_t event;
    EventHandle began, ended;
    BlockPool::Lent block;    // null: its owner's
    std::span<std::byte> to;  // empty: to the device
  };

  ComputeQueue& compute_;
  EventPool& events_;
  const StreamHandle in_ = make_stream(), out_ = make_stream();
  const EventHandle computed_ = make_event();
  const std::shared_ptr<BlockPool> blocks_ = std::make_shared<BlockPool>();
  std::deque<Copy> copies_;  // in the order of their events
  double copied_s_ = 0;
};

// Large uploads in pieces: one is filled while the one before is copied. Two pinned buffers, so
// what fills them waits where the copies are slower.
class PieceUploads {
 public:
  explicit PieceUploads(cudaStream_t stream) : stream_(stream) {}

  std::span<std::byte> room(std::size_t bytes);   // of the next piece, zeros or anything
  void send(std::byte* to, std::size_t bytes);    // of that room
  void hold_back_until_sent(cudaStream_t other);  // what enters it

 private:
  struct Piece {
    PinnedBytes memory;
    std::size_t bytes = 0;
    EventHandle sent = make_event();
  };

  cudaStream_t stream_;
  Piece pieces_[2];
  std::size_t next_ = 0;
};

}  // namespace sluice::kernels::cuda
