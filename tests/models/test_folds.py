import numpy as np
import pytest
from sklearn.model_selection import GroupShuffleSplit

from facepain.models.folds import make_folds

GROUPS = np.repeat([f"sub-{k:03}" for k in range(10)], np.arange(1, 11))


def test_published_scheme_is_group_shuffle_split():
    expected = GroupShuffleSplit(5, test_size=0.3, random_state=42).split(GROUPS, groups=GROUPS)
    for (train_idx, test_idx), (train_expected, test_expected) in zip(make_folds(GROUPS), expected, strict=True):
        np.testing.assert_array_equal(train_idx, train_expected)
        np.testing.assert_array_equal(test_idx, test_expected)


@pytest.mark.parametrize("scheme, n_folds", [("group-shuffle", 5), ("group-kfold", 5), ("lopo", 10)])
def test_no_participant_is_on_both_sides(scheme, n_folds):
    folds = make_folds(GROUPS, scheme)
    assert len(folds) == n_folds
    for train_idx, test_idx in folds:
        assert not set(GROUPS[train_idx]) & set(GROUPS[test_idx])
        assert len(train_idx) + len(test_idx) == len(GROUPS)


@pytest.mark.parametrize("scheme", ["group-kfold", "lopo"])
def test_every_trial_is_tested_once(scheme):
    tested = np.concatenate([test_idx for _, test_idx in make_folds(GROUPS, scheme)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(GROUPS)))


def test_fewer_participants_than_folds_stop_where_each_is_tested_once():
    groups = np.repeat(["a", "b", "c"], 4)
    with pytest.raises(ValueError, match=r"^3 participants are fewer than the 5 that .* add part"):
        make_folds(groups, "group-kfold", 5)
    # Splits drawn anew may be more than participants: the published scheme with 10 folds runs in a small study.
    assert len(make_folds(groups, "group-shuffle", 5)) == 5


def test_one_participant_cannot_be_left_out():
    with pytest.raises(ValueError, match="1 participants are fewer than the 2 that lopo needs"):
        make_folds(["a", "a"], "lopo")


def test_unknown_scheme_is_named():
    with pytest.raises(ValueError, match="'k-fold' is unknown: use one of"):
        make_folds(GROUPS, "k-fold")
