"""Occurrence and intensity: equal to scikit-learn, and each found where it alone was planted."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from facepain.inference.occurrence import PART_COLUMNS, parts_table, predict_parts, score_parts
from facepain.models.cross_validation import make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages


def plant(rng, occurrence=0.0, intensity=0.0, n_participants=24, n_each=8):
    """Draw images of two patterns, one that decides whether there is a score and one that decides how high it is."""
    groups = np.repeat(np.arange(n_participants), n_each)
    latent = rng.standard_normal((len(groups), 6))
    X = latent @ rng.standard_normal((6, 50)) + 0.5 * rng.standard_normal((len(groups), 50))
    present = occurrence * latent[:, 0] + rng.standard_normal(len(groups)) > 0
    y = np.where(present, np.exp(intensity * latent[:, 1] + 0.5 * rng.standard_normal(len(groups))), 0.0)
    folds = prepare_folds(StandardizedImages(X), make_folds(groups), PCARegression("ridge"))
    return X, y, groups, folds


def test_equals_scikit_learn(rng):
    X, y, _, folds = plant(rng, 1, 1)
    X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    for fold in folds:
        parts = predict_parts(fold, np.column_stack([rng.permutation(y), y]), alpha=2.0)
        pca = PCA(0.8, svd_solver="full").fit(X[fold.train_idx])
        train, test = pca.transform(X[fold.train_idx]), pca.transform(X[fold.test_idx])
        y_train, y_test = y[fold.train_idx], y[fold.test_idx]
        classifier = RidgeClassifier(alpha=2.0).fit(train, y_train > 0)
        regression = Ridge(alpha=2.0).fit(train[y_train > 0], y_train[y_train > 0])
        decision, intensity = classifier.decision_function(test), regression.predict(test)
        assert parts["decision"][:, 1] == pytest.approx(decision)
        assert parts["intensity"][:, 1] == pytest.approx(intensity)
        product = np.clip((decision + 1) / 2, 0, 1) * intensity
        assert parts["product"][:, 1] == pytest.approx(product)
        assert parts["plain"][:, 1] == pytest.approx(Ridge(alpha=2.0).fit(train, y_train).predict(test))

        scores = {key: values[1] for key, values in score_parts([parts], np.column_stack([y, y])).items()}
        above = y_test > 0
        mean = y_train[y_train > 0].mean()
        assert scores["occurrence", "auc"] == pytest.approx(roc_auc_score(above, decision))
        assert scores["occurrence", "balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(above, classifier.predict(test))
        )
        assert scores["intensity", "r2"] == pytest.approx(r2_score(y_test[above], intensity[above]))
        assert scores["intensity", "pearson_r"] == pytest.approx(np.corrcoef(y_test[above], intensity[above])[0, 1])
        error = np.sum((y_test - intensity)[above] ** 2)
        assert scores["intensity", "skill"] == pytest.approx(1 - error / np.sum((y_test[above] - mean) ** 2))
        assert scores["product", "r2"] == pytest.approx(r2_score(y_test, product))


def test_occurrence_alone_is_no_intensity(rng):
    _, y, _, folds = plant(rng, occurrence=2.0)
    scores = score_parts([predict_parts(fold, y[:, None], 1.0) for fold in folds], y[:, None])
    assert scores["occurrence", "auc"][0] > 0.8 and abs(scores["intensity", "pearson_r"][0]) < 0.3


def test_intensity_alone_is_no_occurrence(rng):
    _, y, _, folds = plant(rng, intensity=1.0)
    scores = score_parts([predict_parts(fold, y[:, None], 1.0) for fold in folds], y[:, None])
    assert scores["intensity", "pearson_r"][0] > 0.5 and abs(scores["occurrence", "auc"][0] - 0.5) < 0.1


def test_the_product_gains_where_both_parts_have_patterns_of_their_own(rng):
    _, y, _, folds = plant(rng, 2, 1, n_participants=40)
    scores = score_parts([predict_parts(fold, y[:, None], 1.0) for fold in folds], y[:, None])
    assert scores["product", "skill"][0] > scores["plain", "skill"][0] > 0.1


def test_table_has_every_part_and_says_what_cannot_be_scored(rng):
    _, y, groups, folds = plant(rng, 1, 1)
    y[np.isin(groups, groups[folds[0].test_idx])] = 0
    parts = [predict_parts(fold, y[:, None], 1.0) for fold in folds]
    table = parts_table({"published": parts, "lopo": parts}, y)
    assert list(table) == list(PART_COLUMNS)
    assert list(table["part"].unique()) == ["occurrence", "intensity", "product", "plain"]
    first = table[table["fold"] == "1"].set_index("part")
    assert first.loc["occurrence"].isna()[["auc", "balanced_accuracy"]].all()
    assert first.loc["intensity", "n_test"] == 0 and first.loc["intensity"].isna()["skill"]
    mean = table[table["fold"] == "mean"].set_index("part")
    assert mean.loc["intensity", "pearson_r"] == pytest.approx(
        table.query("part == 'intensity' and fold in ['2', '3', '4', '5']")["pearson_r"].mean()
    )
