#include "worker/sampling/draw_wire.h"

namespace sluice::worker::sampling {

void write(const Draw& draw, ByteWriter& out) {
  out.put(draw.temperature);
  out.put(draw.top_k);
  out.put(draw.top_p);
  out.put(draw.min_p);
  out.put(draw.logprobs);
  out.put(draw.position);
  out.put(draw.given);
  out.put(draw.stream);
  out.put_all(draw.changes);
}

Draw read_draw(ByteReader& in) {
  return {.temperature = in.get<float>(),
          .top_k = in.get<std::int32_t>(),
          .top_p = in.get<float>(),
          .min_p = in.get<float>(),
          .logprobs = in.get<std::int32_t>(),
          .position = in.get<std::int32_t>(),
          .given = in.get<std::int32_t>(),
          .stream = in.get<Stream>(),
          .changes = in.get_all<kernels::LogitChange>()};
}

void write(const Finding& finding, ByteWriter& out) {
  out.put(finding.score);
  out.put_all(finding.candidates);
  out.put_all(finding.log_sums);
  out.put_all(finding.likeliest);
  out.put_all(finding.model_log_sums);
}

Finding read_finding(ByteReader& in) {
  return {.score = in.get<double>(),
          .candidates = in.get_all<kernels::Listed>(),
          .log_sums = in.get_all<double>(),
          .likeliest = in.get_all<kernels::Candidate>(),
          .model_log_sums = in.get_all<double>()};
}

void write(const Drawn& drawn, ByteWriter& out) {
  out.put(drawn.id);
  out.put(static_cast<std::uint8_t>(drawn.logprob.has_value()));
  if (drawn.logprob) out.put(*drawn.logprob);
  out.put(static_cast<std::uint8_t>(drawn.is_likeliest));
  out.put(static_cast<std::uint32_t>(drawn.top.size()));
  for (const TokenLogProb& token : drawn.top) {
    out.put(token.id);
    out.put(token.logprob);
  }
}

Drawn read_drawn(ByteReader& in) {
  Drawn drawn{.id = in.get<std::int32_t>()};
  if (in.get<std::uint8_t>() != 0) drawn.logprob = in.get<double>();
  drawn.is_likeliest = in.get<std::uint8_t>() != 0;
  for (auto left = in.get<std::uint32_t>(); left > 0; --left) {
    const auto id = in.get<std::int32_t>();
    drawn.top.push_back({.id = id, .logprob = in.get<double>()});
  }
  return drawn;
}

}  // namespace sluice::worker::sampling
