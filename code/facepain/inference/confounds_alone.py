"""What the confounds predict by themselves: the baseline of a study that removes them from images and scores."""

import numpy as np

from facepain.inference.intervals import INTERVAL_COLUMNS, intervals_table
from facepain.inference.permutation import METRICS, applicable_schemes, permutation_test, scheme_of_people
from facepain.inference.transfer import SCHEMES
from facepain.models.confounds import fit_confounds
from facepain.models.cross_validation import Fit, Fold
from facepain.models.score_tables import as_predictions, fold_metrics, list_predictions
from facepain.models.scores import Predictions

CONFOUND_COLUMNS = {
    **{name: text for name, text in INTERVAL_COLUMNS.items() if name != "level"},
    "metric": "score of predicting the scores, confounds not removed, by least squares on the confounds alone",
    **{
        f"p_{scheme}": f"(1 + permutations, scheme {named}, that score at least as high) / (1 + permutations); n/a on "
        "other datasets, and where the scheme does not apply"
        for scheme, named in SCHEMES.items()
    },
    "n_permutations": "permutations of each scheme",
}


class ConfoundFold(Fold):
    """Predict by least squares on confounds: of the training trials their Z^+ is held, of those tested Z itself."""

    def predict(self, Y, _model):
        return self.test_scores @ (self.components @ Y[self.train_idx])

    def fit(self, y):
        given, n_confounds = (y[self.train_idx], y[self.test_idx], self.predict(y, None)), self.test_scores.shape[1] - 1
        return Fit(self.train_idx, self.test_idx, *given, n_confounds, None, 0.0, 0.0)


def confounds_alone_table(splits, y, groups, Z, resampling, strata=None, others=None):
    """Score and test the confounds as a model of their own, in the splits of ``published`` and ``lopo``.

    y has its confounds and Z is behind a column of ones, both of the training dataset; ``others`` are (y, groups, Z) of
    other datasets by name. Strata are as for `TrialPermuter`.
    """
    folds = {
        name: [ConfoundFold(train, test, fit_confounds(Z[train]), Z[test]) for train, test in each]
        for name, each in splits.items()
    }
    fits = {name: [fold.fit(y) for fold in each] for name, each in folds.items()}
    lopo = list_predictions(fits["lopo"], np.arange(len(y)), groups).sort_values("row")
    predicted = {"lopo": as_predictions(lopo)}
    coef = fit_confounds(Z) @ y
    for name, (y_other, groups_other, Z_other) in (others or {}).items():
        predicted[name] = Predictions(y_other, Z_other @ coef, groups_other, np.full(len(y_other), y.mean()))
    table = intervals_table(predicted, fold_metrics(fits["published"], groups), fits["published"], groups)
    table = table[table["metric"].isin(METRICS)].drop(columns="level")
    for column in SCHEMES:
        scheme, p = scheme_of_people(groups) if column == "block" else column, {}
        for name, each in folds.items() if scheme in applicable_schemes(groups, y) else ():
            tests = permutation_test(each, y, groups, None, scheme, resampling, name, strata)
            p |= {(name, test["metric"]): test["p"] for test in tests}
        table[f"p_{column}"] = [p.get(key, np.nan) for key in zip(table["estimate_of"], table["metric"], strict=True)]
    return table.assign(n_permutations=resampling.n)[list(CONFOUND_COLUMNS)]
