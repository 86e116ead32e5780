"""Relate the score to the expression of each signature by mixed models with participants' own slopes."""

import numpy as np
import pandas as pd

from errors import InputError
from facepain.inference.mixed_models import fit_mixed_model, within_slope_test
from facepain.models.scores import transform_target
from facepain.parallel import Resampling
from files.rounding import round_significant
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY

EXPRESSION = "expression"
# Optimisers stop where they are close enough: digits beyond these differ from one processor to the next.
DIGITS = 4
COLUMNS = {
    "model": "signature whose expression is related to the score, with participants' own intercepts and slopes",
    "term": "fixed effect; expression and other columns are in standard deviations, and so is the score",
    "estimate": "change of the score in its standard deviations for one standard deviation of the term",
    "se": "standard error (restricted maximum likelihood)",
    "low": "lower end of the 95 % interval (normal)",
    "high": "upper end of that interval",
    "p": "two-sided, normal; approximate, too small where participants are few",
    "p_permutation": "two-sided, of the slope within participants, residual scores permuted within participants",
    "n_trials": "trials of the training dataset",
    "n_participants": "participants",
}
PARTICIPANT_COLUMNS = {
    "model": "signature",
    "participant_id": "participant",
    "slope": "slope of the score on the expression, both in standard deviations, within the participant",
    "n_trials": "trials",
}


def main(cell, outputs):
    settings = cell.settings
    trials = read_table("outputs/prep/trials.tsv")
    expression = read_table(f"outputs/expression/{settings['mask']}/{settings['algorithm']}/expression.tsv")
    used = np.flatnonzero(trials["dataset"] == settings["train_dataset"])
    trials = trials.iloc[used]
    y = standardize(transform_target(trials[settings["target"]], settings["transform"]))
    groups = trials["participant_id"].to_numpy()
    columns = {}
    for name in settings["columns"]:
        values = standardize(trials[name])
        if follows(values, columns):
            print(f"{cell.name}: {name} is left out, it is the same in every trial or follows from the other columns")
        else:
            columns[name] = values

    effects, slopes = [], []
    models = dict(list(expression.groupby("signature")))
    if len(np.unique(groups)) == len(groups):
        print(f"{cell.name}: every participant has one trial, so that there is no slope within them: left out")
        models = {}
    with Progress(len(models), cell.name) as progress:
        for name, of_model in models.items():
            x = standardize(of_model.set_index("row").loc[used, settings["measure"]].to_numpy())
            if not x.any():
                print(f"{cell.name}: {name} is left out, its expression is the same in every trial")
                continue
            effects.append(relate(cell, name, y, x, columns, groups))
            slopes.append(slopes_of_participants(name, y, x, groups))
            progress()
    if models and not effects:
        raise InputError("no signature is expressed differently in different trials; name another mask in relate.mask")
    table = pd.concat(effects or [pd.DataFrame(columns=list(COLUMNS))])
    outputs.write_table("fixed_effects.tsv", table, COLUMNS)
    slopes = pd.concat(slopes or [pd.DataFrame(columns=list(PARTICIPANT_COLUMNS))])
    outputs.write_table("participant_slopes.tsv", slopes, PARTICIPANT_COLUMNS)
    shown = table[table["term"] == EXPRESSION]
    print(f"{cell.name}: " + ", ".join(f"{row.model} {row.estimate:.2f}" for row in shown.itertuples()))


def relate(cell, name, y, x, columns, groups):
    """Fit one model and test its expression."""
    effects, converged = fit_mixed_model(y, {EXPRESSION: x} | columns, groups, slopes=(EXPRESSION,))
    resampling = Resampling(cell.settings["permutation"]["n"], cell.settings["seed"], n_workers())
    covariates = np.column_stack(list(columns.values())) if columns else np.empty((len(y), 0))
    _, p = within_slope_test(y, x, groups, covariates, resampling)
    if np.isnan(p):
        print(f"{cell.name}: scores or {name} do not vary within participants: permuting within does not apply")
    if not converged:
        print(f"{cell.name}: the mixed model of {name} did not converge; its interval is not to be trusted")
    numbers = effects.columns.drop("term")
    effects[numbers] = round_significant(effects[numbers], DIGITS)
    effects["p_permutation"] = np.where(effects["term"] == EXPRESSION, p, np.nan)
    return effects.assign(model=name, n_trials=len(y), n_participants=len(np.unique(groups)))[list(COLUMNS)]


def slopes_of_participants(name, y, x, groups):
    """Return the slope within every participant whose expression varies."""
    rows = []
    for participant in np.unique(groups):
        own = groups == participant
        a, b = x[own] - x[own].mean(), y[own] - y[own].mean()
        rows.append((name, participant, a @ b / (a @ a) if a @ a else np.nan, own.sum()))
    return pd.DataFrame(rows, columns=list(PARTICIPANT_COLUMNS))


def standardize(values):
    """Centre and scale to a standard deviation of 1; a constant becomes 0."""
    values = np.asarray(values, float)
    return (values - values.mean()) / (values.std() or 1.0)


def follows(values, columns):
    """Return whether a column is constant or a combination of others: its effect cannot be separated from theirs."""
    design = np.column_stack([np.ones(len(values)), *columns.values(), values])
    return np.linalg.matrix_rank(design) < design.shape[1]


if __name__ == "__main__":
    run_stage(STUDY, "relate", main)
