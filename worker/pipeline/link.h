// Messages between the ranks of one world. Point to point, in order per (sender, channel). Nothing
// here blocks, but a link that ends lets what it has sent leave first. Used by one thread per rank.
// Implementations: mpi_link (ranks), local_link (threads of one process, for tests under
// sanitizers).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sluice::worker::pipeline {

enum class Channel : int {
  control = 1,      // agreement at start, clock alignment, farewell
  micro_batch = 2,  // {plan, activations}, stage to next stage
  tokens = 3,       // chosen tokens, from stages that hold some of the head to the first
  prompts = 4,      // ranges of prompts, rank 0 to leaders; their words to rank 0
  head = 5,         // what a split head sees, last stage to those that hold some of it
  draws = 6,        // how tokens are drawn, the first stage to those that hold some of the head
};

using Bytes = std::vector<std::byte>;

class Link {
 public:
  virtual ~Link() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Posts `depth` receives of at most `bytes_max` for messages of `from` on `channel`, ahead of
  // their coming. Once per (from, channel), before the first receive(). A rank may name itself.
  virtual void expect(int from, Channel channel, std::size_t bytes_max, int depth) = 0;

  // Takes the message and returns at once; the link keeps it until it is delivered.
  // Requires: the receiver expects at least this size.
  virtual void send(int to, Channel channel, Bytes message) = 0;

  // The next message of `from` on `channel` if it has arrived whole. Also makes progress.
  virtual std::optional<Bytes> receive(int from, Channel channel) = 0;

  // Lets large messages move on: call it between layers.
  virtual void progress() = 0;
};

}  // namespace sluice::worker::pipeline
