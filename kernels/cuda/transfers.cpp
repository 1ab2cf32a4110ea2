#include "kernels/cuda/transfers.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/cuda/check.h"

namespace sluice::kernels::cuda {
namespace {

constexpr std::size_t kBlockBytesMin = std::size_t{1} << 16;

void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  check(cudaMemcpyAsync(to, from, bytes, kind, stream), "cudaMemcpyAsync");
}

}  // namespace

BlockPool::Lent BlockPool::take(std::size_t bytes) {
  const std::size_t size = std::max(kBlockBytesMin, std::bit_ceil(bytes));
  const auto found = std::ranges::find(free_, size, &Block::bytes);
  std::unique_ptr<Block> block;
  if (found != free_.end()) {
    block = std::move(*found);
    free_.erase(found);
  } else {
    block = std::make_unique<Block>(Block{allocate_pinned(size), allocate_device(size), size});
  }
  return {block.release(), GiveBack{shared_from_this()}};
}

void Transfers::send(const Block& block, std::size_t bytes, std::uint64_t event) {
  EventHandle began = events_.record(in_.get());
  copy(block.device.get(), block.host.get(), bytes, cudaMemcpyHostToDevice, in_.get());
  EventHandle ended = events_.record(in_.get());
  hold_back(compute_.stream(), ended);
  copies_.push_back({.event = event,
                     .began = std::move(began),
                     .ended = std::move(ended),
                     .block = {},
                     .to = {}});
}

const std::byte* Transfers::bring(const void* from, std::size_t bytes, std::uint64_t event) {
  auto block = take(bytes);
  std::memcpy(block->host.get(), from, bytes);
  send(*block, bytes, event);
  copies_.back().block = std::move(block);
  return copies_.back().block->device.get();
}

void Transfers::upload(const void* from, std::byte* to, std::size_t bytes, std::uint64_t event) {
  if (bytes == 0) return;
  const std::byte* const there = bring(from, bytes, event);
  compute_.flush();
  copy(to, there, bytes, cudaMemcpyDeviceToDevice, compute_.stream());
}

void Transfers::download(const void* from, std::span<std::byte> to, std::uint64_t event) {
  if (to.empty()) return;
  auto block = take(to.size());
  compute_.flush();
  copy(block->device.get(), from, to.size(), cudaMemcpyDeviceToDevice, compute_.stream());
  record(computed_, compute_.stream());
  hold_back(out_.get(), computed_);
  EventHandle began = events_.record(out_.get());
  copy(block->host.get(), block->device.get(), to.size(), cudaMemcpyDeviceToHost, out_.get());
  EventHandle ended = events_.record(out_.get());
  copies_.push_back({.event = event,
                     .began = std::move(began),
                     .ended = std::move(ended),
                     .block = std::move(block),
                     .to = to});
}

void Transfers::finish(std::uint64_t event) {
  while (!copies_.empty() && copies_.front().event <= event) {
    Copy& first = copies_.front();
    copied_s_ += seconds_between(first.began, first.ended);
    if (!first.to.empty()) std::memcpy(first.to.data(), first.block->host.get(), first.to.size());
    events_.give_back(std::move(first.began));
    events_.give_back(std::move(first.ended));
    copies_.pop_front();
  }
}

std::span<std::byte> PieceUploads::room(std::size_t bytes) {
  Piece& piece = pieces_[next_];
  wait_for(piece.sent);
  if (piece.bytes < bytes) {
    piece.memory = allocate_pinned(bytes);
    piece.bytes = bytes;
  }
  return {piece.memory.get(), bytes};
}

void PieceUploads::send(std::byte* to, std::size_t bytes) {
  const Piece& piece = pieces_[next_];
  copy(to, piece.memory.get(), bytes, cudaMemcpyHostToDevice, stream_);
  record(piece.sent, stream_);
  next_ = 1 - next_;
}

void PieceUploads::hold_back_until_sent(cudaStream_t other) {
  hold_back(other, pieces_[1 - next_].sent);
}

}  // namespace sluice::kernels::cuda
