"""Round what depends on linear algebra, so that every machine writes the same bytes.

The last bits of a float64 result differ between processors and thread counts (about 1e-13 of the largest value).
Rounded to a step that is coarse against them and fine against the noise of the data they no longer do, but for the rare
value that falls on the border of two steps.
"""

import numpy as np

SIGNIFICANT_DIGITS = 6
MAP_STEP = 2.0**-15  # of the power of two at or above the largest absolute value: exact in float32


def round_map(values):
    """Round a map, (n_voxels,), to multiples of 2**-15 of the power of two at or above its largest absolute value.

    These are exact in float32. A map of zeros stays as it is.
    """
    values = np.asarray(values, dtype=np.float64)
    largest = np.abs(values).max(initial=0.0)
    if largest == 0:
        return values.astype(np.float32)
    step = map_step(largest)
    # Adding 0.0 turns a negative zero into zero.
    return (np.round(values / step) * step + 0.0).astype(np.float32)


def map_step(largest):
    """Return the distance between neighbouring values of a rounded map whose largest absolute value is `largest`."""
    mantissa, exponent = np.frexp(largest)
    # frexp gives largest = mantissa * 2**exponent with mantissa in [0.5, 1): an exact power of two has 0.5.
    return MAP_STEP * 2.0 ** (int(exponent) - (mantissa == 0.5))


def round_significant(values, digits=SIGNIFICANT_DIGITS):
    """Round a number or an array of them to significant decimal digits; NaN and infinities are kept.

    Returns the floats nearest to the rounded decimals, so that their shortest text has at most `digits` digits.
    """
    values = np.asarray(values, dtype=np.float64)
    # The decimal text is the definition: arithmetic with powers of ten would leave 0.30000000000000004.
    rounded = np.array([float(f"{value:.{digits - 1}e}") + 0.0 for value in values.ravel()])
    return rounded.reshape(values.shape) if values.ndim else float(rounded[0])
