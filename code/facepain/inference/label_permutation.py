"""Permutation test of the classifier of datasets."""

import numpy as np

from facepain.inference.permutation import permute_participant_labels, summarize_null
from facepain.models.classification import balanced_accuracy, classify_folds
from facepain.parallel import resample_rng


def label_permutation_test(cuts, labels, groups, C, resampling):
    """Test the mean over folds of the balanced accuracy by permuting labels between participants.

    Permutations that leave some training fold without a label are drawn again from the same generator.
    """
    n_labels = len(np.unique(labels))

    def score(permuted):
        predictions = classify_folds(cuts, permuted, C)
        return np.mean([balanced_accuracy(permuted[fold.test_idx], fold.predicted) for fold in predictions])

    def draw(index):
        rng = resample_rng(resampling.seed, index)
        while True:
            permuted = permute_participant_labels(labels, groups, rng)
            if all(len(np.unique(permuted[train_idx])) == n_labels for train_idx, *_ in cuts):
                return permuted

    null = [value for batch in resampling.run(lambda indices: [score(draw(i)) for i in indices], 1) for value in batch]
    return summarize_null("participant", "balanced_accuracy", score(np.asarray(labels)), null)
