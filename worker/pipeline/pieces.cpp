#include "worker/pipeline/pieces.h"

#include <algorithm>
#include <span>
#include <utility>

#include "worker/error.h"

namespace sluice::worker::pipeline {

// A piece's first byte says whether another follows.
std::size_t send_in_pieces(Link& link, int to, Channel channel, const Bytes& message) {
  std::span<const std::byte> rest = message;
  std::size_t sent = 0;
  for (bool more = true; more;) {
    const auto part = rest.first(std::min(rest.size(), kPieceBytes - 1));
    rest = rest.subspan(part.size());
    more = !rest.empty();
    Bytes piece{std::byte{more}};
    piece.insert(piece.end(), part.begin(), part.end());
    sent += piece.size();
    link.send(to, channel, std::move(piece));
  }
  return sent;
}

std::optional<Bytes> Pieces::add(const Bytes& piece) {
  if (piece.empty()) throw Error("a piece of a large message is empty");
  message_.insert(message_.end(), piece.begin() + 1, piece.end());
  if (piece.front() != std::byte{0}) return std::nullopt;
  return std::exchange(message_, {});
}

}  // namespace sluice::worker::pipeline
