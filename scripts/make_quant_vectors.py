#!/usr/bin/env python3
"""Makes tests/data/quants.bin: what the gguf Python package says each tensor format means. Needs numpy and gguf (0.19) from PyPI.

Layout, little-endian: f32 input[512]; then per format: u32 GGUF number, u32 n, u8 bytes[n] (512 weights, every bit pattern random but
for the f16 scales), f32 values[512] (those bytes dequantised), u32 q, u8 quantised[q] (the input quantised; q = 0 where the package cannot).
"""

import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "quants.bin"
WEIGHTS = 512
# Per format: byte offsets of the f16 fields in a block, which must stay finite; None where every element is a float.
SCALES = {Q.F32: None, Q.F16: None, Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0]}
SCALES |= {Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.Q8_K: [], Q.BF16: None}
SCALES |= {Q.IQ4_NL: [0], Q.IQ4_XS: [0], Q.TQ1_0: [52], Q.TQ2_0: [64], Q.MXFP4: []}
CANNOT_QUANTISE = (Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.Q8_K, Q.IQ4_NL, Q.IQ4_XS)


def random_bytes(kind, rng):
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    if SCALES[kind] is None:
        return gguf.quants.quantize(rng.standard_normal(WEIGHTS).astype(np.float32), kind).view(np.uint8)
    blocks = rng.integers(0, 256, (WEIGHTS // weights, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scales = rng.standard_normal((len(blocks), 1)).astype(np.float16)
        blocks[:, offset : offset + 2] = scales.view(np.uint8)
    if kind == Q.Q8_K:
        blocks[:, :4] = rng.standard_normal((len(blocks), 1)).astype(np.float32).view(np.uint8)
    if kind == Q.MXFP4:
        blocks[:, 0] = rng.integers(0, 255, len(blocks))  # 255 is not a number
        blocks[:3, 0] = 0, 1, 254
    return blocks.reshape(-1)


def dequantize(data, kind):
    if kind == Q.Q8_K:  # the package cannot; f32 d, 256 int8 codes, 16 sums that do not matter
        blocks = data.reshape(-1, 292)
        return (blocks[:, :4].copy().view(np.float32) * blocks[:, 4:260].view(np.int8)).reshape(-1)
    return gguf.quants.dequantize(data, kind)


def main():
    rng = np.random.default_rng(1)
    values = rng.standard_normal(WEIGHTS).astype(np.float32)
    values[:32] = 0  # a block without a scale
    values[32:64] = 0.25  # and one without a range
    out = [values.tobytes()]
    for kind in sorted(SCALES):
        data = random_bytes(kind, rng)
        meaning = dequantize(data, kind).astype(np.float32)
        quantised = b"" if kind in CANNOT_QUANTISE else gguf.quants.quantize(values, kind).tobytes()
        out += [np.array([kind, data.size], dtype="<u4").tobytes(), data.tobytes(), meaning.tobytes()]
        out += [np.array([len(quantised)], dtype="<u4").tobytes(), quantised]
    OUT.write_bytes(b"".join(out))


if __name__ == "__main__":
    main()
