// Draws and what becomes of them, as bytes between ranks.
#pragma once

#include "worker/sampling/draw.h"
#include "worker/wire.h"

namespace sluice::worker::sampling {

void write(const Draw& draw, ByteWriter& out);
void write(const Finding& finding, ByteWriter& out);
void write(const Drawn& drawn, ByteWriter& out);

// These throw worker::Error.
Draw read_draw(ByteReader& in);
Finding read_finding(ByteReader& in);
Drawn read_drawn(ByteReader& in);

}  // namespace sluice::worker::sampling
