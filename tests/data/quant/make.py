#!/usr/bin/env python3
"""Blocks of every quantised type with the values that ggml's own Python package gives them.

    pip install gguf==0.19.0 && make.py

writes TYPE.bin beside itself: some blocks of random bytes, then their fp32 values, little-endian.
Scales are any finite halves, subnormal and negative ones too.
"""
import pathlib
import random

import gguf
import numpy

# type -> where a block holds halves (ggml-common.h)
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
}
VALUES = 2048  # of each type

here = pathlib.Path(__file__).parent
bits = random.Random(1)
for name, halves in HALVES.items():
    kind = gguf.GGMLQuantizationType[name]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    raw = bytearray(bits.randbytes(VALUES // values * size))
    for block in range(0, len(raw), size):
        for at in halves:
            half = bits.getrandbits(16)
            while half & 0x7c00 == 0x7c00:  # infinite or not a number
                half = bits.getrandbits(16)
            raw[block + at:block + at + 2] = half.to_bytes(2, "little")
    expanded = gguf.dequantize(numpy.frombuffer(bytes(raw), numpy.uint8), kind)
    (here / f"{name}.bin").write_bytes(raw + expanded.astype("<f4").tobytes())
