"""Fit and score PCA regressions fold by fold, every fit from the training trials of its fold alone.

Folds are those of scikit-learn's group splitters, whose import takes a third of the time of a short result.
"""

import math
from dataclasses import dataclass

import numpy as np

from errors import InputError
from facepain.models.confounds import fit_confounds, remove_from_gram, remove_from_scores
from facepain.models.pca_regression import Components, fit_coefficients, fit_components, shrinkage
from facepain.parallel import map_in_order


def make_folds(groups, scheme="group-shuffle", n_folds=5, test_size=0.3, seed=42, shuffle=False):
    """Split trials by participant into (train_idx, test_idx), sorted, for each fold.

    ``group-shuffle`` draws ``test_size`` of the participants for each fold again, so that some may never be tested (the
    published scheme). ``group-kfold`` tests everyone once, and deals participants into folds at random if it is to
    ``shuffle``. ``lopo`` leaves one participant out at a time, and so has a fold for each. Raises InputError if there
    are too few participants: fewer than two, or than folds of ``group-kfold``.
    """
    participants, position, n_trials = np.unique(groups, return_inverse=True, return_counts=True)
    n_participants = len(participants)
    n_needed = n_folds if scheme == "group-kfold" else 2
    if n_participants < n_needed:
        raise InputError(
            f"{n_participants} participants are fewer than the {n_needed} that {scheme} needs: "
            "lower the number of folds or add participants"
        )
    if scheme == "group-shuffle":
        n_tested = math.ceil(test_size * n_participants)
        if n_tested >= n_participants:
            raise InputError(
                f"test_size={test_size} leaves none of {n_participants} participants to train on; lower it"
            )
        rng = np.random.RandomState(seed)
        tested = [rng.permutation(n_participants)[:n_tested] for _ in range(n_folds)]
    elif scheme == "group-kfold":
        tested = deal_participants(n_trials, n_folds, seed if shuffle else None)
    else:
        tested = np.arange(n_participants)[:, np.newaxis]
    is_tested = [np.isin(position, of_fold) for of_fold in tested]
    return [(np.flatnonzero(~mask), np.flatnonzero(mask)) for mask in is_tested]


def require_participants(groups, folds, fewest):
    """Stop if training dataset or folds have fewer participants than what is published has to describe."""
    tested = np.concatenate([test_idx for _, test_idx in folds])
    for what, those in (("the training dataset has", groups), ("the folds test", groups[tested])):
        if (n_participants := len(np.unique(those))) < fewest:
            raise InputError(
                f"{what} {n_participants} usable participants, fewer than min_participants = {fewest}, which tables "
                "and figures have to describe; add participants, or lower it"
            )


def deal_participants(n_trials, n_folds, seed=None):
    """Deal participants into folds, as ``GroupKFold`` does: at random, or so that folds have about as many trials.

    Without a seed, those with most trials come first and each goes to the fold with fewest trials so far.
    """
    if seed is not None:
        return np.array_split(np.random.RandomState(seed).permutation(len(n_trials)), n_folds)
    tested, sizes = [[] for _ in range(n_folds)], np.zeros(n_folds)
    for participant in np.argsort(n_trials, kind="stable")[::-1]:
        lightest = np.argmin(sizes)
        tested[lightest].append(participant)
        sizes[lightest] += n_trials[participant]
    return tested


@dataclass(frozen=True)
class Fold:
    """Hold what a fold's fits share, whatever the target."""

    train_idx: np.ndarray
    test_idx: np.ndarray
    components: Components  # of the training images
    test_scores: np.ndarray  # (n_test, k) component scores of the test images
    confounds: np.ndarray | None = None  # (n_trials, n_confounds) of all trials of the study
    counts: np.ndarray | None = None  # (n_train,) how often each trial is in the training set, once if not given

    def residual(self, Y):
        """Return the scores of all trials without what the training trials' confounds explain."""
        return remove_from_scores(Y, self.confounds, self.train_idx, self.counts)

    def predict(self, Y, model):
        """Fit every column of Y (n_trials, n_targets) and predict the test trials, without confounds if these go."""
        coef, intercept = fit_coefficients(self.components, self.residual(Y)[self.train_idx], model)
        return self.test_scores @ coef + intercept

    def to_dual(self, coef, score_intercept):
        """Return a fit on the components as weights of the training images as they are, and its intercept."""
        dual, intercept = self.components.to_dual(coef, score_intercept)
        if self.confounds is not None:
            Z = self.confounds[self.train_idx]
            dual = dual - fit_confounds(Z, self.counts).T @ (Z.T @ dual)
        return dual, intercept

    def fit_duals(self, Y, model):
        """Fit every column of Y and return the weights (n_train, n_targets) of the training images."""
        return self.to_dual(*fit_coefficients(self.components, self.residual(Y)[self.train_idx], model))[0]


@dataclass(frozen=True)
class Fit:
    """Hold one fitted model; scores are without confounds, where these are removed."""

    train_idx: np.ndarray
    test_idx: np.ndarray  # empty for a final model
    y_train: np.ndarray
    y_test: np.ndarray
    y_pred: np.ndarray
    n_components: int
    dual: np.ndarray  # (n_trials,) weight of every trial, 0 outside the training set
    intercept: float  # goes with the dual: a prediction is ``K[test, :] @ dual + intercept``
    shrinkage: float  # see `facepain.models.pca_regression.shrinkage`

    @property
    def y_train_mean(self):
        """What the baseline predicts."""
        return self.y_train.mean()


def prepare_folds(images, folds, model, n_jobs=1):
    """Decompose the training images of every (train_idx, test_idx) into a `Fold`; threads change no byte."""

    def prepare(fold, n_jobs=1):
        K = images.gram(_counts(images.n_trials, fold[0]), n_jobs=n_jobs)
        return decompose_fold(K, fold, model, images.confounds)

    if n_jobs == 1 or images.by_voxel:
        return [prepare(fold, n_jobs) for fold in folds]
    return list(map_in_order(prepare, folds, n_jobs))


def decompose_fold(K, fold, model, Z=None, counts=None):
    """Decompose the training images of a fold, given the Gram matrix and the confounds of all trials.

    With ``counts``, how often each training trial was drawn, the matrix is of these alone, and none is tested.
    """
    train_idx, test_idx = fold
    if counts is not None:
        K_train, K_test = K, K[:0]
    else:
        K_train, K_test = K[np.ix_(train_idx, train_idx)], K[np.ix_(test_idx, train_idx)]
    if Z is not None:
        K_train, K_test = remove_from_gram(K_train, K_test, Z[train_idx], Z[test_idx], counts)
    components = fit_components(K_train, model.explained_variance, counts)
    return Fold(train_idx, test_idx, components, components.scores(K_test), Z, counts)


def cross_validate(folds, y, model):
    """Fit the model to y (n_trials,) in every fold of `prepare_folds`; return a list of `Fit`."""
    fits = []
    for fold in folds:
        left = fold.residual(np.asarray(y, float))
        y_train, all_dual = left[fold.train_idx], np.zeros(len(y))
        coef, score_intercept = fit_coefficients(fold.components, y_train[:, None], model)
        dual, intercept = fold.to_dual(coef, score_intercept)
        all_dual[fold.train_idx] = dual[:, 0]
        fit = Fit(
            train_idx=fold.train_idx,
            test_idx=fold.test_idx,
            y_train=y_train,
            y_test=left[fold.test_idx],
            y_pred=(fold.test_scores @ coef + score_intercept)[:, 0],
            n_components=fold.components.n_components,
            dual=all_dual,
            intercept=intercept[0],
            shrinkage=shrinkage(fold.components, y_train, coef[:, 0]),
        )
        fits.append(fit)
    return fits


def fit_final(images, y, model, n_jobs=1):
    """Fit the model to all trials and return a `Fit`; arguments are those of `prepare_folds` and `cross_validate`."""
    everything = (np.arange(len(y)), np.arange(0))
    return cross_validate(prepare_folds(images, [everything], model, n_jobs), y, model)[0]


def confound_coefficients(images, fit):
    """Return what a fit's predictions lack, times a trial's confounds; None where no confounds are removed."""
    if images.confounds is None:
        return None
    return -fit_confounds(images.confounds[fit.train_idx]) @ _apply_to_training(images, fit)


def haufe_pattern(images, fit):
    """Return the covariance (n_voxels,) of each voxel with the model's prediction over the training images.

    cov(X) w, which shows where the score is reflected, as weights do not: Haufe et al. 2014, doi
    10.1016/j.neuroimage.2013.10.067. X are the images that the weights apply to.
    """
    train_idx, predicted = fit.train_idx, _apply_to_training(images, fit)
    if images.confounds is not None:
        predicted = remove_from_scores(predicted, images.confounds[train_idx], np.arange(len(train_idx)))
    # Centring the prediction is enough: then the mean image has no part in the products.
    values, counts = (predicted - predicted.mean()) / len(train_idx), _counts(images.n_trials, train_idx)
    blocks = (images.block(columns, train_idx, counts) for columns in images.columns)
    return np.concatenate([values @ block * scale for block, _, scale in blocks])


def voxel_weights(images, fits):
    """Return the weight map (n_voxels, n_fits) and intercept (n_fits,) of every fit, as `predict_images` takes them."""
    if not images.by_voxel:
        # One scaling for all: a single pass over the images serves every map.
        return images.weights(np.column_stack([fit.dual for fit in fits]), [fit.intercept for fit in fits])
    maps = [images.weights(fit.dual[:, None], [fit.intercept], _counts(len(fit.dual), fit.train_idx)) for fit in fits]
    return np.hstack([weights for weights, _ in maps]), np.hstack([b for _, b in maps])


def _apply_to_training(images, fit):
    """Return the products of the training images with a fit's weight map."""
    rows = fit.train_idx
    return images.gram(_counts(images.n_trials, rows))[np.ix_(rows, rows)] @ fit.dual[rows]


def _counts(n_trials, train_idx):
    return np.bincount(train_idx, minlength=n_trials)
