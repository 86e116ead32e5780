"""Planted scenarios: what becomes of a model on another dataset, each part by itself."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from facepain.inference.permutation import TrialPermuter
from facepain.inference.transfer import TRANSFER_COLUMNS, association_p, transfer_table
from facepain.models.scores import Predictions
from facepain.parallel import Resampling, resample_rng

N_PARTICIPANTS, N_TRIALS = 24, 12
GROUPS = np.repeat(np.arange(N_PARTICIPANTS), N_TRIALS)


def transfer(rng, offset=0.0, gain=1.0, association=1.0, effect=1.0):
    """Return the row of a dataset whose scores are partly what was predicted, plus an offset, times a gain."""
    signal = rng.normal(0, 2, N_PARTICIPANTS)[GROUPS] + rng.normal(0, 2, len(GROUPS))
    other = rng.normal(0, 2, N_PARTICIPANTS)[GROUPS] + rng.normal(0, 2, len(GROUPS))
    y = effect * (signal if association else other) + rng.normal(0, 1.5, len(GROUPS))
    predictions = Predictions(y, gain * signal + offset, GROUPS, np.zeros(len(GROUPS)))
    table = transfer_table({"other": predictions}, Resampling(199, 1), {"other": np.zeros(len(GROUPS))})
    assert list(table) == list(TRANSFER_COLUMNS)
    return table.iloc[0]


def test_all_well(rng):
    row = transfer(rng)
    assert row.p_within == row.p_block == 0.005
    assert row.pearson_r_low > 0.5 and row.r2_low > 0.4
    assert row.offset_low < 0 < row.offset_high and row.slope_low < 1 < row.slope_high


def test_offset_only(rng):
    row = transfer(rng, offset=8)
    assert row.p_block == 0.005 and row.offset_low > 7 and row.slope_low < 1 < row.slope_high
    assert row.r2_high < 0 < 0.4 < row.r2_offset_removed_low and row.r2_recalibrated_low > 0.4


def test_gain_only(rng):
    row = transfer(rng, gain=3)
    assert row.p_block == 0.005 and row.slope_high < 0.5
    assert row.r2_offset_removed_high < 0 < 0.4 < row.r2_recalibrated_low


def test_pattern_lost(rng):
    row = transfer(rng, association=0)
    assert row.p_within > 0.05 and row.p_block > 0.05
    assert row.pearson_r_low < 0 < row.pearson_r_high and row.r2_recalibrated < 0.05


def test_nothing_to_predict(rng):
    row = transfer(rng, effect=0)
    assert row.p_block > 0.05 and row.r2 < 0 and row.r2_recalibrated < 0.05


@pytest.mark.parametrize("scheme", ["within", "block"])
def test_p_by_hand(rng, scheme):
    y = rng.normal(size=len(GROUPS))
    y_pred = 0.1 * y + rng.normal(size=len(GROUPS))
    null = [pearsonr(y[TrialPermuter(GROUPS, scheme).draw(resample_rng(7, index))], y_pred)[0] for index in range(99)]
    p = association_p(Predictions(y, y_pred, GROUPS, y), scheme, Resampling(99, 7))
    assert p == (1 + np.sum(np.array(null) >= pearsonr(y, y_pred)[0])) / 100


def test_scores_constant_within_participants_have_no_p_within():
    ages = GROUPS * 1.0
    assert np.isnan(association_p(Predictions(ages, ages, GROUPS, ages), "within", Resampling(9, 1)))
    assert association_p(Predictions(ages, ages, GROUPS, ages), "block", Resampling(9, 1)) == 0.1
    # Where each participant has one trial all trials are exchanged, and within participants nothing is.
    ones = Predictions(ages[:20] + np.arange(20), ages[:20] + np.arange(20), np.arange(20), ages[:20])
    assert association_p(ones, "block", Resampling(9, 1)) == 0.1
    assert np.isnan(association_p(ones, "within", Resampling(9, 1)))
