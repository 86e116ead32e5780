"""Random numbers of the stand-in study: raw PCG64 words and integer arithmetic only.

NumPy may change its distributions, and exp, log and cos differ between CPUs. Words and integers are the same for ever.
"""

import numpy as np

# A draw of `draw_normal` has this standard deviation.
NORMAL_UNIT = 1 << 16


def open_stream(seed, *key):
    """Return the bit generator of one purpose, for example one trial; other keys give independent streams."""
    return np.random.PCG64([seed, *key])


def draw_normal(stream, size):
    """Draw nearly normal integers (size,): mean 0, standard deviation `NORMAL_UNIT`, at most six of it."""
    words = stream.random_raw(3 * size)
    parts = [(words >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    totals = np.sum(parts, axis=0).reshape(size, 3).sum(axis=1).astype(np.int64)
    return totals - 6 * (NORMAL_UNIT - 1)


def draw_below(stream, bound, size):
    """Draw integers from 0 to `bound` - 1 as (size,) int64; `bound` is below 2**31."""
    high_bits = (stream.random_raw(size) >> np.uint64(32)).astype(np.int64)
    return high_bits * bound >> 32


def draw_order(stream, n):
    """Draw an order of n things as (n,) int64 indices."""
    return np.argsort(stream.random_raw(n), kind="stable")


def draw_bytes(stream, size):
    """Draw odd integers from -255 to 255, standard deviation 147.8, as (size,) int64."""
    words = stream.random_raw(-(-size // 8)).astype("<u8")
    return 2 * words.view(np.uint8)[:size].astype(np.int64) - 255
