"""What a final model's predictions on another dataset are worth: association, offset and scale apart."""

import numpy as np
import pandas as pd

from facepain.inference.intervals import participant_intervals
from facepain.inference.permutation import TrialPermuter, applicable_schemes, scheme_of_people
from facepain.models.scores import pearson_r

SCHEMES = {"within": "within", "block": "block (free where each participant has one trial)"}  # as columns name them
TRANSFER_METRICS = {
    "pearson_r": "Pearson correlation of scores and predictions",
    "spearman_r": "Spearman rank correlation of scores and predictions",
    "within_r": "correlation after subtracting each participant's mean; participants with constant scores are left out",
    "between_r": "correlation of the participants' means",
    "offset": "mean prediction minus mean score",
    "slope": "slope of the score on its prediction: 1 is the right scale",
    "r2": "coefficient of determination as it is",
    "r2_offset_removed": "r2 after subtracting the offset from every prediction",
    "r2_recalibrated": "r2 of a line of scores on predictions, fitted without the participant who is scored",
}
TRANSFER_COLUMNS = {
    "dataset": "dataset that the final model was tested on",
    "n_participants": "participants tested",
    "n_trials": "trials tested",
    **{
        f"{metric}{end}": meaning + text
        for metric, meaning in TRANSFER_METRICS.items()
        for end, text in (
            ("", ""),
            ("_low", "; lower end of the 95 % interval over participants (jackknife, model as fitted)"),
            ("_high", "; its upper end"),
        )
    },
    **{
        f"p_{scheme}": f"p of pearson_r: the model is fixed and this dataset's scores are permuted, scheme {named}; "
        "n/a where that changes nothing"
        for scheme, named in SCHEMES.items()
    },
    "n_permutations": "permutations behind each p",
}


def transfer_table(predicted, permutations, strata):
    """Take apart how the final model does on every other dataset, given predictions and strata by its name."""
    rows = []
    for name, predictions in predicted.items():
        row = {"dataset": name, "n_participants": len(predictions.participants), "n_trials": len(predictions.y_true)}
        intervals = participant_intervals(predictions)
        for metric in TRANSFER_METRICS:
            row |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), intervals[metric][:3], strict=True))
        for scheme in SCHEMES:
            row[f"p_{scheme}"] = association_p(predictions, scheme, permutations, strata[name])
        rows.append(row | {"n_permutations": permutations.n})
    return pd.DataFrame(rows, columns=list(TRANSFER_COLUMNS))


def association_p(predictions, scheme, permutations, strata=None):
    """Return the p of Pearson's r of fixed predictions by permuting the scores; NaN where the scheme does not apply."""
    y, groups = predictions.y_true, predictions.groups
    scheme = scheme_of_people(groups) if scheme == "block" else scheme
    if scheme not in applicable_schemes(groups, y):
        return np.nan
    permuter = TrialPermuter(groups, scheme, strata)
    y_pred = predictions.y_pred[:, None]
    null = permuter.null_scores(lambda Y: pearson_r(Y, np.broadcast_to(y_pred, Y.shape)), y, permutations, 500)
    # Permutations that give the scores back must count: a tie is a tie beyond rounding.
    return (1 + np.sum(null >= pearson_r(y, predictions.y_pred) - 1e-12)) / (1 + len(null))
