"""Describe each dataset: participants, trials, exclusions by reason, facts and reliability of the scores."""

import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.trials import is_usable
from facepain.parallel import resample_rng

QUARTERS = ("min", "quartile_1", "median", "quartile_3", "max")
N_BINS = 22  # of all scores but the exact zeros
SCORE_COLUMNS = {
    "dataset": "dataset described",
    "low": "lower end of the bin; the exact zeros are a bin of their own from 0 to 0",
    "high": "upper end of the bin, not in it",
    "n_trials": "usable trials with a score in the bin",
    "n_participants": "participants with a score in the bin: at least min_participants of the params",
}
RELIABILITY_COLUMNS = {
    "dataset": "dataset described",
    "icc": "intraclass correlation ICC(1) of single trials: share of the variance that lies between participants",
    "low": "lower end of the 95 % bootstrap interval over participants (percentiles)",
    "high": "upper end of the interval",
    "n_participants": "participants with usable trials",
}


def summarize(trials, participants, target, min_participants=1):
    """Describe each dataset: participants, trials, exclusions by reason, facts of the scores.

    ``trials`` include excluded ones; ``participants`` may be None, or lack columns. Reasons of exclusions that fewer
    than ``min_participants`` have are counted together as ``other``; sexes, ages and scores of fewer are left out.
    """
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        enrolled = of_dataset["participant_id"].nunique()
        facts = {}
        if participants is not None:
            people = find_people(participants, dataset, of_dataset, trials)
            enrolled, facts = len(people), _facts_of_people(people, min_participants)
        usable = of_dataset[is_usable(of_dataset)]
        scores = usable[target]
        facts = {"participants_enrolled": enrolled, "participants_usable": usable["participant_id"].nunique(), **facts}
        facts |= {"trials": len(of_dataset), "trials_usable": len(usable)}
        excluded = of_dataset[~is_usable(of_dataset)]
        n_people = excluded.groupby("excluded")["participant_id"].transform("nunique")
        reasons = excluded["excluded"].where(n_people >= min_participants, "other").value_counts().sort_index()
        facts |= {f"excluded: {reason}": count for reason, count in reasons.items()}
        if "run" in usable and len(usable):
            most = usable.groupby(["participant_id", "run"]).size().max()
            facts |= {"runs": usable["run"].nunique(), "trials_per_run": int(most)}
        of_scores = {"mean": scores.mean(), "sd": scores.std(ddof=0)}
        of_scores |= zip(QUARTERS, scores.quantile([0, 0.25, 0.5, 0.75, 1]), strict=True)
        for name, found in (("share_zero", scores == 0), ("share_not_whole", scores % 1 != 0)):
            sides = (usable["participant_id"][side] for side in (found, ~found) if side.any())
            if all(side.nunique() >= min_participants for side in sides):
                of_scores[name] = found.mean()
        if facts["participants_usable"] >= min_participants:
            facts |= {f"{target}_{name}": value for name, value in of_scores.items()}
        rows += [{"dataset": dataset, "fact": fact, "value": value} for fact, value in facts.items()]
    return pd.DataFrame(rows)


def find_people(participants, dataset, of_dataset, trials):
    """Return the participants of a dataset: where their table does not know it, those who have trials in it."""
    names = set(trials["dataset"])
    if "dataset" in participants and names <= set(participants["dataset"]):
        return participants[participants["dataset"] == dataset]
    if len(names) == 1:  # those without any trial belong to it too
        return participants
    if "participant_id" not in participants:
        raise InputError(
            f"participants.tsv: found {', '.join(participants.columns)}; expected participant_id, by which people are "
            "told apart; rename the column of their ids"
        )
    return participants[participants["participant_id"].isin(of_dataset["participant_id"])]


def bin_scores(trials, target, min_participants):
    """Count each dataset's usable scores in bins, exact zeros in a bin of their own.

    Neighbouring bins are joined until they hold ``min_participants``. A dataset of which something cannot be joined is
    left out, since its count would follow from the others.
    """
    edges = score_bins(trials[target])
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        scores = of_dataset[target]
        sides = (of_dataset["participant_id"][side] for side in (scores == 0, scores != 0) if side.any())
        if any(side.nunique() < min_participants for side in sides):
            continue
        bins, first = [(0.0, 0.0, of_dataset[scores == 0])], 0
        for last in range(1, len(edges)):
            inside = of_dataset[(scores != 0) & (scores >= edges[first]) & (scores < edges[last])]
            if inside["participant_id"].nunique() >= min_participants:
                bins.append((edges[first], edges[last], inside))
                first = last
        if len(bins) > 1:  # what is left above belongs to the last bin
            low = bins[-1][0]
            bins[-1] = (low, edges[-1], of_dataset[(scores != 0) & (scores >= low)])
        counted = [(low, high, len(inside), inside["participant_id"].nunique()) for low, high, inside in bins]
        rows += [(dataset, *each) for each in counted if each[-1] >= min_participants]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def score_bins(scores):
    """Return bin edges at round numbers that hold every score that is not 0; 0 is an edge."""
    scores = np.asarray(scores, dtype=float)
    rest = scores[scores != 0]
    low, high = (min(rest.min(), 0.0), max(rest.max(), 0.0)) if rest.size else (0.0, 1.0)
    raw = (high - low) / N_BINS
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = np.floor(low / step), np.ceil(high / step)
    if high == last * step:
        last += 1  # bins are open at their right end
    return step * np.arange(first, last + 1)


def _facts_of_people(people, min_participants):
    facts = {}
    if "sex" in people:
        counts = people.loc[people["sex"] != "", "sex"].value_counts().sort_index()
        if counts.min() >= min_participants:  # one left out would follow from the others
            facts |= {f"sex_{sex}": count for sex, count in counts.items()}
    if "age" in people:
        ages = pd.to_numeric(people["age"], errors="coerce").dropna()
        if len(ages) >= min_participants:
            facts |= {"age_mean": ages.mean(), "age_sd": ages.std(ddof=1), "age_min": ages.min(), "age_max": ages.max()}
    return facts


def intraclass_correlation(sizes, means, squares):
    """Return the ICC(1) (...) of one-way random effects from sums over participants.

    Each participant, on the last axis, gives the number of trials, their mean and the sum of squared deviations from
    it. NaN where scores do not vary or no participant has two trials. For unequal numbers of trials: Donner 1986, doi
    10.2307/1403259.
    """
    n, k = sizes.sum(axis=-1), sizes.shape[-1]
    grand = np.sum(sizes * means, axis=-1) / n
    between = np.sum(sizes * (means - grand[..., None]) ** 2, axis=-1) / (k - 1)
    within = squares.sum(axis=-1) / np.where(n > k, n - k, np.nan)
    size = (n - np.sum(sizes**2, axis=-1) / n) / (k - 1)
    total = between + (size - 1) * within
    return (between - within) / np.where(total > 0, total, np.nan)


def reliability_table(trials, target, resampling, min_participants=3):
    """Describe the reliability of the score in every dataset; NaN for few participants."""
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        scores = of_dataset.groupby("participant_id")[target]
        sizes, means = scores.size().to_numpy(float), scores.mean().to_numpy()
        squares = scores.var(ddof=0).to_numpy() * sizes
        icc = low = high = np.nan
        if len(sizes) >= max(3, min_participants):
            icc = float(intraclass_correlation(sizes, means, squares))
            drawn = resample_rng(resampling.seed, 0).integers(len(sizes), size=(resampling.n, len(sizes)))
            draws = intraclass_correlation(sizes[drawn], means[drawn], squares[drawn])
            draws = draws[np.isfinite(draws)]
            low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
        rows.append((dataset, icc, low, high, len(sizes)))
    return pd.DataFrame(rows, columns=list(RELIABILITY_COLUMNS))
