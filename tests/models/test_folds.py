import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, LeaveOneGroupOut

from facepain.models.cross_validation import make_folds

GROUPS = np.repeat([f"sub-{k:03}" for k in range(10)], np.arange(1, 11))


@pytest.mark.parametrize("seed", range(20))
def test_folds_are_those_of_scikit_learn(rng, seed):
    """Also for names that do not come in order, unequal numbers of trials, and shares that do not divide them."""
    n_participants, n_folds = int(rng.integers(6, 60)), int(rng.integers(2, 7))
    groups = rng.permutation([f"p{k}" for k in rng.integers(n_participants, size=6 * n_participants)])
    for test_size in (0.1, 0.3, 0.5):
        expected = GroupShuffleSplit(n_folds, test_size=test_size, random_state=seed)
        assert_same_folds(make_folds(groups, "group-shuffle", n_folds, test_size, seed), expected, groups)
    assert_same_folds(make_folds(groups, "group-kfold", n_folds), GroupKFold(n_folds), groups)
    shuffled = GroupKFold(n_folds, shuffle=True, random_state=seed)
    assert_same_folds(make_folds(groups, "group-kfold", n_folds, seed=seed, shuffle=True), shuffled, groups)
    assert_same_folds(make_folds(groups, "lopo"), LeaveOneGroupOut(), groups)


def assert_same_folds(folds, splitter, groups):
    for found, expected in zip(folds, splitter.split(groups, groups=groups), strict=True):
        for indices, those in zip(found, expected, strict=True):
            np.testing.assert_array_equal(indices, np.sort(those))


def test_a_share_that_leaves_nobody_to_train_on_is_refused():
    with pytest.raises(ValueError, match=r"^test_size=0.95 leaves none of 10 participants to train on; lower it"):
        make_folds(GROUPS, test_size=0.95)


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
