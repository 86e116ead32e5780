"""The classifier needs participants of every dataset on the side that it trains on."""

from functools import partial

import numpy as np
import pytest

from errors import InputError
from facepain.inference.permutation import label_permutation_test
from facepain.models.classification import classify_folds, cut_gram, fold_metrics, score_folds
from facepain.models.cross_validation import make_folds
from facepain.parallel import Resampling


def test_a_fold_that_lacks_one_of_three_datasets_stops_and_no_permutation_makes_one(rng):
    groups = np.repeat(np.arange(12), 3)
    labels = np.array(["a", "b", "c"])[groups % 3]
    X = rng.normal(size=(36, 20)) + (labels == "c")[:, None]
    folds = make_folds(groups, "group-kfold", 4)
    cuts = cut_gram(X @ X.T, folds)
    score = partial(score_folds, cuts, C=1.0)
    test = label_permutation_test(score, [train for train, _ in folds], labels, groups, Resampling(20, 1))
    assert len(test["null_scores"]) == 20
    assert fold_metrics(classify_folds(cuts, labels, 1.0), labels)["auc"].notna().all()
    labels = np.where(groups == 0, "rare", labels)
    with pytest.raises(InputError, match="trains on no participant of rare"):
        classify_folds(cut_gram(X @ X.T, make_folds(groups, "lopo")), labels, 1.0)
