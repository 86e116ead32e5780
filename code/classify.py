"""Ask a linear SVM whether the images of two datasets can be distinguished within one mask."""

from functools import partial

import numpy as np

from facepain.inference.permutation import TEST_COLUMNS, label_permutation_test
from facepain.models import classification
from facepain.models.cross_validation import make_folds
from facepain.models.scores import withhold_folds
from facepain.models.standardize import StandardizedImages
from files.tables import read_table
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import resample


def main(cell, outputs):
    (mask_name,) = cell.names
    settings = cell.settings
    trials = read_table("outputs/prep/trials.tsv")
    labels, groups = trials["dataset"].to_numpy(), trials["participant_id"].to_numpy()
    if len(np.unique(labels)) < 2:
        print(f"{cell.name}: one dataset only, nothing to distinguish: no classifier")
        return
    n_participants = trials.groupby("dataset")["participant_id"].nunique()
    if (fewest := n_participants.min()) < settings["min_participants"]:
        print(
            f"{cell.name}: {n_participants.idxmin()} has {fewest} participants, min_participants is "
            f"{settings['min_participants']}: no classifier"
        )
        return

    signals = np.load(f"outputs/extract/{mask_name}/signals.npy", mmap_mode="r")
    images = StandardizedImages(signals, n_jobs=n_workers())
    folds = make_folds(groups, **settings["cross_validation"], seed=settings["seed"])
    cuts = classification.cut_gram(images.gram(), folds)
    predictions = classification.classify_folds(cuts, labels, settings["C"])
    # A fold has to test enough participants of every dataset.
    tested = [groups[test][labels[test] == name] for _, test in folds for name in n_participants.index]
    metrics = withhold_folds(classification.fold_metrics(predictions, labels), tested, settings["min_participants"])
    outputs.write_table("metrics.tsv", metrics, classification.METRIC_COLUMNS)
    confusion = classification.confusion_table(predictions, labels, by_fold=metrics["n_test"].notna().all())
    outputs.write_table("confusion.tsv", confusion, classification.CONFUSION_COLUMNS)
    listed = classification.predictions_table(predictions, labels, groups)
    outputs.write_table("predictions.tsv", listed, classification.PREDICTION_COLUMNS)

    with resample(cell, "permutations", settings["permutation"]["n"]) as resampling:
        score = partial(classification.score_folds, cuts, C=settings["C"])
        test = label_permutation_test(score, [train for train, _ in folds], labels, groups, resampling)
    outputs.write_permutation_tests([test], TEST_COLUMNS)
    outputs.write_fingerprints()
    mean, majority = metrics.set_index("fold").loc["mean", ["accuracy", "majority_share"]]
    print(f"{cell.name}: majority share {majority:.1%}; accuracy {mean:.1%}, permutation p = {test['p']:.3g}")


if __name__ == "__main__":
    run_stage(STUDY, "classify", main)
