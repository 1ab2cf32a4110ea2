// The rows of the head that a stage holds, for drawing tokens from them.
#pragma once

#include <functional>
#include <vector>

#include "worker/model/forward.h"
#include "worker/sampling/draw.h"

namespace sluice::worker::pipeline {

// Of the rows that were presented to `forward`; `meanwhile` is called now and then.
class OwnHead : public sampling::HeadPart {
 public:
  OwnHead(model::Forward& forward, std::function<void()> meanwhile)
      : forward_(forward), meanwhile_(std::move(meanwhile)) {}

  std::size_t vocab() const override { return static_cast<std::size_t>(forward_.vocab()); }
  std::size_t first() const override { return static_cast<std::size_t>(rows().first); }
  std::vector<kernels::Shortlist> list(std::span<const kernels::ShortlistSpec> specs) override;
  std::vector<float> block(std::size_t row, std::size_t first_id) override;

 private:
  model::HeadRows rows() const { return forward_.head_rows(); }
  bool holds(std::int32_t id) const { return rows().first <= id && id < rows().end; }

  model::Forward& forward_;
  std::function<void()> meanwhile_;
};

}  // namespace sluice::worker::pipeline
