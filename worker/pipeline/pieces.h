// Messages of any size over channels whose receives have one: cut, and put together again.
#pragma once

#include <cstddef>
#include <optional>

#include "worker/pipeline/link.h"

namespace sluice::worker::pipeline {

inline constexpr std::size_t kPieceBytes = std::size_t{64} << 10;  // to expect, at least

// How many bytes that took.
std::size_t send_in_pieces(Link& link, int to, Channel channel, const Bytes& message);

// Of one sender on one channel.
class Pieces {
 public:
  // The message when this was its last piece. Throws worker::Error on what is no piece.
  std::optional<Bytes> add(const Bytes& piece);

 private:
  Bytes message_;
};

}  // namespace sluice::worker::pipeline
