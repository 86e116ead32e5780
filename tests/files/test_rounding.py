"""Rounding: exact in what is written, and stable against the last bits."""

import numpy as np
import pytest

from files.rounding import map_step, round_map, round_significant


def test_a_map_lies_on_multiples_of_its_step_and_is_exact_in_float32(rng):
    values = rng.normal(0, 0.3, 5000)
    rounded = round_map(values)
    step = 2.0**-15 * 2.0 ** np.ceil(np.log2(np.abs(values).max()))
    assert rounded.dtype == np.float32
    assert np.abs(rounded - values).max() <= step / 2
    np.testing.assert_array_equal(rounded.astype(float) / step, np.round(values / step))


@pytest.mark.parametrize(("largest", "power"), [(1.0, 1.0), (0.75, 1.0), (0.5, 0.5), (3.0, 4.0), (4.0, 4.0)])
def test_the_step_goes_by_the_power_of_two_at_or_above_the_largest_value(largest, power):
    assert map_step(largest) == 2.0**-15 * power


def test_the_last_bits_change_nothing(rng):
    values = rng.normal(0, 0.3, 50_000)
    shaken = values * (1 + rng.uniform(-1e-13, 1e-13, values.size))
    assert round_map(values).tobytes() == round_map(shaken).tobytes()
    assert round_significant(values).tobytes() == round_significant(shaken).tobytes()


def test_zero_stays_zero_without_a_sign():
    assert not round_map(np.zeros(3)).any()
    assert not np.signbit(round_map(np.array([1.0, -1e-9]))).any()
    assert not np.signbit(round_significant(np.array([-0.0]))).any()


def test_significant_digits_are_decimal_and_keep_what_is_no_number():
    assert round_significant(0.1234567) == 0.123457
    assert round_significant(123456789.0) == 123457000.0
    values = round_significant([np.nan, np.inf, -1 / 3])
    assert np.isnan(values[0]) and values[1] == np.inf and values[2] == -0.333333
