"""Load what all stages share that fit the score: trials, images and scores of the training dataset, and the model."""

from contextlib import contextmanager
from dataclasses import dataclass, replace

import nibabel
import numpy as np
import pandas as pd

from facepain.data.trials import first_of_run, rows_of_training
from facepain.models.algorithms import ALGORITHMS
from facepain.models.confounds import confound_matrix, remove_from_scores
from facepain.models.cross_validation import make_folds, require_participants
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import list_predictions
from facepain.models.scores import transform_target
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.parallel import Resampling
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers


@dataclass(frozen=True)
class Training:
    """Hold the study within one mask; y and groups are of all trials, rows are those of the training dataset."""

    trials: pd.DataFrame
    signals: np.ndarray
    mask_img: nibabel.Nifti1Image
    rows: np.ndarray
    groups: np.ndarray
    y: np.ndarray
    y_with_confounds: np.ndarray
    confounds: np.ndarray | None
    images: StandardizedImages

    @property
    def train(self):
        """Scores and participants of the training dataset."""
        return self.y[self.rows], self.groups[self.rows]

    @property
    def others(self):
        """Rows of every other dataset, by its name."""
        own, names = self.trials["dataset"].iloc[self.rows[0]], self.trials["dataset"]
        return {name: np.flatnonzero(names == name) for name in sorted(set(names) - {own})}

    def kinds_of_trials(self, strata):
        """Return the kind of every trial (n_trials,) that scores are permuted within: is it the first of its run?"""
        return first_of_run(self.trials) & (strata == "first-of-run")

    def make_splits(self, settings):
        """Return the folds of both estimates: of the published scheme, and leaving one participant out."""
        _, groups = self.train
        published = make_folds(groups, **settings["cross_validation"], seed=settings["seed"])
        require_participants(groups, published, settings["min_participants"])
        return {"published": published, "lopo": make_folds(groups, "lopo")}

    def predict_others(self, final, weights, intercept, confound_coef):
        """List what the final model predicts of every other dataset, by its name, as `list_predictions` does."""
        tested, everything = {}, np.arange(len(self.trials))
        for dataset, rows in self.others.items():
            y_pred = predict_images(take_rows(self.signals, rows), weights, intercept, self.images.standardize)[:, 0]
            y_pred = y_pred + (0 if self.confounds is None else self.confounds[rows] @ confound_coef)
            fit = replace(final, test_idx=rows, y_test=self.y[rows], y_pred=y_pred)
            tested[dataset] = list_predictions([fit], everything, self.groups).assign(fold="test")
        return tested


def take_rows(signals, rows):
    """Return some rows of the signals, in rising order; without a copy where they follow each other."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return np.asarray(signals[rows[0] : rows[-1] + 1])
    return np.asarray(signals[rows])


def load_training(mask, settings):
    """Load the study within a mask; confounds are removed from the scores as the training dataset has them.

    Permuting these residuals is the test of Freedman and Lane; every fold removes its own confounds again.
    """
    trials = read_table("outputs/prep/trials.tsv")
    signals = np.load(f"outputs/extract/{mask}/signals.npy", mmap_mode="r")
    rows = rows_of_training(trials, settings["train_dataset"])
    confounds = confound_matrix(trials[settings["confounds"]])
    y = transform_target(trials[settings["target"]], settings["transform"])
    of_train = None if confounds is None else confounds[rows]
    return Training(
        trials=trials,
        signals=signals,
        mask_img=nibabel.load(f"outputs/extract/{mask}/mask.nii.gz"),
        rows=rows,
        groups=trials["participant_id"].to_numpy(),
        y=remove_from_scores(y, confounds, rows),
        y_with_confounds=y,
        confounds=confounds,
        images=StandardizedImages(take_rows(signals, rows), settings["standardize"], of_train, n_workers()),
    )


@contextmanager
def resample(cell, what, n, steps=None):
    """Give a `Resampling` of a cell whose progress is shown, where its steps are others in so many."""
    seed = cell.settings.get("regress", cell.settings)["seed"]
    with Progress(n if steps is None else steps, f"{cell.name}: {what}") as progress:
        yield Resampling(n, seed, n_workers(), progress)


def load_model(algorithm, settings):
    """Return the model that ``regress`` fits."""
    parameters = {name: settings["algorithm"][name] for name in ALGORITHMS[algorithm].parameters}
    return PCARegression(algorithm, explained_variance=settings["variance"], **parameters)
