"""Read back what the stages wrote to outputs/, for whoever shows it: figures, tables, notebook, report."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from errors import InputError
from files.tables import read_table

# A model of which one is missing, such as annexed content that is not in this clone, is not shown.
REGRESSION_FILES = (
    *("metrics.tsv", "test_metrics.tsv", "calibration.tsv", "permutation.tsv", "permutation.json"),
    *("bootstrap.json", "model.json", "model.npz", "weights_average.nii.gz", "bootstrap_z.nii.gz"),
)
CLASSIFIER_TABLES = ("metrics", "permutation", "confusion")


@dataclass(frozen=True)
class CellResults:
    """What cells of ``regress`` and ``classify`` share: tables as written, where the column ``fold`` is text."""

    mask: str
    metrics: pd.DataFrame
    tests: pd.DataFrame  # permutation.tsv

    @cached_property
    def folds(self):
        """The rows of `metrics` that are folds, indexed by number."""
        folds = self.metrics[self.metrics["fold"].str.fullmatch(r"\d+")]
        return folds.assign(fold=folds["fold"].astype(int)).set_index("fold")


@dataclass(frozen=True)
class ClassifierResults(CellResults):
    """One ``classify`` cell."""

    confusion: pd.DataFrame


@dataclass(frozen=True)
class RegressionResults(CellResults):
    """One ``regress`` cell, and how it was made."""

    algorithm: str
    folder: Path
    test_metrics: pd.DataFrame
    null_scores: dict  # of the published scheme: (scheme, metric) to ndarray of those that are defined
    bootstrap: dict
    score: str  # name of what was predicted
    transform: str
    standardize: str
    n_voxels: int  # of the mask, those with weight 0 included
    confounds: tuple = ()  # removed from images and scores

    @cached_property
    def fold_maps(self):
        """Names of the weight maps of single folds by number; none where folds test few participants."""
        names = {number: f"weights_fold-{number}" for number in self.folds.index}
        return {number: name for number, name in names.items() if (self.folder / f"{name}.nii.gz").exists()}

    @property
    def n_trials(self):
        """Number of trials of the training dataset, which every fold tests or trains on."""
        return round(self.summary("mean", "n_train") + self.summary("mean", "n_test"))

    @cached_property
    def scheme_of_people(self):
        """The scheme that exchanges whole participants: ``free`` where each has one trial."""
        n_people = () if (found := self.table("intervals")) is None else found.query("estimate_of == 'lopo'")
        return "free" if len(n_people) and n_people["n_participants"].iloc[0] == self.n_trials else "block"

    def summary(self, row, metric):
        """Return a score of the row ``mean``, ``sd`` or ``pooled``."""
        return float(self.metrics.set_index("fold").at[row, metric])

    def tests_of(self, metric, estimate_of="published"):
        """Return the permutation tests of one metric of one estimate, indexed by scheme."""
        tests = self.tests[(self.tests["metric"] == metric) & (self.tests["estimate_of"] == estimate_of)]
        return tests.set_index("scheme")

    def table(self, name):
        """Read another table of the cell, such as ``transfer``; None where the stage wrote none."""
        return read_optional(self.folder / f"{name}.tsv")

    def map_img(self, name):
        """Load one of the cell's maps, such as ``weights_average``."""
        img = nibabel.load(present(self.folder / f"{name}.nii.gz"))
        return nibabel.Nifti1Image(np.asarray(img.dataobj), img.affine)  # read once, however often it is looked at


@dataclass(frozen=True)
class StudyResults:
    """All results of a study."""

    folder: Path  # ``outputs``, which they were read from
    target: str  # column of the trials that was predicted
    score: str  # its name in figures and text
    synthetic: bool  # whether the data are a simulation
    summary: pd.DataFrame  # of ``prep``: facts of each dataset
    scores: pd.DataFrame  # of ``prep``: scores of each dataset in bins
    masks: list  # to be shown, in this order, like the algorithms
    algorithms: list
    regressions: dict  # (mask, algorithm) to RegressionResults; any may be missing
    classifiers: dict  # mask to ClassifierResults; empty for a study with one dataset
    # Of the results that the params ask for; tables in others are left over from other params, and are not read.
    folders: tuple | None = None

    @property
    def datasets(self):
        """The datasets that have usable trials."""
        usable = self.summary[(self.summary["fact"] == "trials_usable") & (self.summary["value"] > 0)]
        return sorted(usable["dataset"])

    @cached_property
    def tested_datasets(self):
        """The datasets that models were tested on, as far as they have enough participants."""
        return list(dict.fromkeys(name for cell in self.regressions.values() for name in cell.test_metrics["dataset"]))

    def why_not_tested(self):
        one, few = "the study has only one dataset", "every other dataset has fewer than min_participants participants"
        return one if len(self.datasets) < 2 else few

    def models(self, mask):
        """Return the models of a mask that there are."""
        return [self.regressions[mask, name] for name in self.algorithms if (mask, name) in self.regressions]

    def table(self, name):
        """Read a table by its path below ``outputs``, such as ``compare/pairs``; None where no stage wrote it."""
        if self.folders is not None and f"outputs/{name}".rpartition("/")[0] not in self.folders:
            return None
        return read_optional(self.folder / f"{name}.tsv")

    def json(self, name):
        """Read a JSON file by its path below ``outputs``, such as ``extract/M1/mask``; empty where there is none."""
        return _read_json(self.folder / f"{name}.json")

    def settings(self, folder):
        """Return the settings that a result records, by its path below ``outputs``; empty without a record."""
        return self.json(f"{folder}/inputs").get("settings", {})

    def fact(self, dataset, name):
        """Return one value of the summary, NaN if it is not there."""
        found = self.summary.query("dataset == @dataset and fact == @name")["value"]
        return float(found.iloc[0]) if len(found) else np.nan


def load_results(outputs, masks, algorithms, target, score="", folders=None):
    """Read every result that figures and tables are made from; InputError says which command makes what is missing."""
    outputs = Path(outputs)
    return StudyResults(
        folder=outputs,
        target=target,
        score=score or target,
        synthetic=is_synthetic(outputs),
        summary=read_table(present(outputs / "prep/summary.tsv")),
        scores=read_table(present(outputs / "prep/scores.tsv")),
        masks=masks,
        algorithms=algorithms,
        regressions={
            (mask, algorithm): load_regression(outputs / "regress" / mask / algorithm, score or target)
            for mask in masks
            for algorithm in algorithms
            if all((outputs / "regress" / mask / algorithm / file).exists() for file in REGRESSION_FILES)
        },
        classifiers={
            mask: ClassifierResults(mask, *(read_table(present(folder / f"{name}.tsv")) for name in CLASSIFIER_TABLES))
            for mask in masks
            if ((folder := outputs / "classify" / mask) / "metrics.tsv").exists()
            and (folders is None or f"outputs/classify/{mask}" in folders)
        },
        folders=folders,
    )


def read_records(cells):
    """Read ``command``, ``settings``, ``data`` and ``packages`` of every result with a record, by cell."""
    paths = {cell.name: Path(cell.folder, "inputs.json") for cell in cells}
    return {name: _read_json(path) for name, path in paths.items() if path.exists()}


def is_synthetic(outputs):
    """Return whether the data say of themselves that they are a simulation."""
    return bool(_read_json(Path(outputs, "prep/study.json")).get("synthetic", False))


def load_regression(folder, score):
    """Read the tables of one ``regress`` cell; maps are left to `RegressionResults.map_img`."""
    about = _read_json(folder / "model.json")
    entries = _read_json(folder / "permutation.json")["entries"]
    with np.load(folder / "model.npz") as model:
        n_voxels = len(model["weights"])
    return RegressionResults(
        mask=folder.parent.name,
        algorithm=folder.name,
        folder=folder,
        metrics=read_table(folder / "metrics.tsv"),
        test_metrics=read_table(folder / "test_metrics.tsv"),
        tests=read_table(folder / "permutation.tsv"),
        null_scores={
            (entry["scheme"], entry["metric"]): pd.Series(entry["null_scores"], dtype=float).dropna().to_numpy()
            for entry in entries
            if entry["estimate_of"] == "published"
        },
        bootstrap=_read_json(folder / "bootstrap.json"),
        score=score,
        transform=about["transform"],
        standardize=about["standardize"],
        n_voxels=n_voxels,
        confounds=tuple(about.get("confounds", ())),
    )


def correlate_maps(cells, name):
    """Return the correlations of a map between models of a mask, (n_models, n_models), NaN where one is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef([np.asarray(cell.map_img(name).dataobj, float).ravel() for cell in cells])


def read_optional(path):
    """Read a table that not every study has; None where it is not there."""
    return read_table(path) if path.exists() else None


def present(path):
    """Return the path of a result; raise `InputError`, with the command that makes it, where there is none."""
    if not path.exists():
        stage = next((name for name in ("prep", "regress", "classify") if name in path.parts), "all")
        raise InputError(f"{path} is not here; `make {stage}` makes it")
    return path


def _read_json(path):
    """Read a JSON file that not every study has; empty where it is not there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
