"""Describe each dataset: participants, trials, exclusions by reason, facts of the scores."""

import numpy as np
import pandas as pd

from facepain.data.exclusions import is_usable

OTHER = "other"

N_BINS = 22  # of all scores but the exact zeros
SCORE_COLUMNS = {
    "dataset": "dataset described",
    "low": "lower end of the bin; the exact zeros are a bin of their own from 0 to 0",
    "high": "upper end of the bin, not in it",
    "n_trials": "usable trials with a score in the bin",
    "n_participants": "participants with a score in the bin: at least min_participants of the params",
}


def summarize(trials, participants, target, min_participants=1):
    """Describe each dataset: participants, trials, exclusions by reason, facts of the scores.

    ``trials`` include excluded ones; ``participants`` may be None, or lack ``dataset``, ``age`` and ``sex``. Reasons of
    exclusions that fewer than ``min_participants`` have are counted together as ``other``. The columns are dataset,
    fact and value.
    """
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        enrolled = of_dataset["participant_id"].nunique()
        facts = {}
        if participants is not None:
            people = participants[participants["dataset"] == dataset] if "dataset" in participants else participants
            enrolled = len(people)
            facts |= _facts_of_people(people)
        usable = of_dataset[is_usable(of_dataset)]
        scores = usable[target]
        facts = {"participants_enrolled": enrolled, "participants_usable": usable["participant_id"].nunique(), **facts}
        facts |= {"trials": len(of_dataset), "trials_usable": len(usable)}
        reasons = shared_reasons(of_dataset, min_participants).value_counts().sort_index()
        facts |= {f"excluded: {reason}": count for reason, count in reasons.items()}
        if "run" in usable:
            facts |= {"runs": usable["run"].nunique(), "trials_per_run": _most_trials(usable)}
        facts |= {
            f"{target}_mean": scores.mean(),
            f"{target}_sd": scores.std(ddof=0),
            f"{target}_min": scores.min(),
            f"{target}_quartile_1": scores.quantile(0.25),
            f"{target}_median": scores.median(),
            f"{target}_quartile_3": scores.quantile(0.75),
            f"{target}_max": scores.max(),
            f"{target}_share_zero": (scores == 0).mean(),
            f"{target}_share_not_whole": (scores % 1 != 0).mean(),
        }
        rows += [{"dataset": dataset, "fact": fact, "value": value} for fact, value in facts.items()]
    return pd.DataFrame(rows)


def shared_reasons(trials, min_participants):
    """Return the reason of each excluded trial, ``other`` where fewer than so many participants have it."""
    excluded = trials[~is_usable(trials)]
    people = excluded.groupby("excluded")["participant_id"].transform("nunique")
    return excluded["excluded"].where(people >= min_participants, OTHER)


def _most_trials(usable):
    return int(usable.groupby(["participant_id", "run"]).size().max())


def bin_scores(trials, target, min_participants):
    """Count each dataset's usable scores in bins that hold enough participants, exact zeros in a bin of their own.

    Neighbouring bins are joined until they hold ``min_participants``; what cannot be joined is left out. The columns
    are those of `SCORE_COLUMNS`.
    """
    edges = score_bins(trials[target])
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        zeros = of_dataset[of_dataset[target] == 0]
        found = [(0.0, 0.0, len(zeros), zeros["participant_id"].nunique())]
        others = of_dataset[of_dataset[target] != 0]
        first, joined = 0, []
        for last in range(1, len(edges)):
            inside = others[(others[target] >= edges[first]) & (others[target] < edges[last])]
            if inside["participant_id"].nunique() >= min_participants:
                joined.append((first, last))
                first = last
        if joined:  # what is left above belongs to the last bin
            joined[-1] = (joined[-1][0], len(edges) - 1)
        for first, last in joined:
            inside = others[(others[target] >= edges[first]) & (others[target] < edges[last])]
            found.append((edges[first], edges[last], len(inside), inside["participant_id"].nunique()))
        rows += [(dataset, *each) for each in found if each[3] >= min_participants]
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


def _facts_of_people(people):
    facts = {}
    if "sex" in people:
        counts = people["sex"].value_counts().sort_index()
        facts |= {f"sex_{sex}": count for sex, count in counts.items() if sex}
    if "age" in people:
        ages = pd.to_numeric(people["age"], errors="coerce").dropna()
        if len(ages):
            facts |= {"age_mean": ages.mean(), "age_sd": ages.std(ddof=1), "age_min": ages.min(), "age_max": ages.max()}
    return facts
