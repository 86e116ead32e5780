"""Describe each dataset: participants, trials, exclusions by reason, facts of the scores."""

import pandas as pd

from facepain.data.exclusions import is_usable

OTHER = "other"


def summarize(trials, participants, target, min_participants=1):
    """Describe each dataset: participants, trials, exclusions by reason, facts of the scores.

    Parameters
    ----------
    trials : DataFrame
        As from `read_trials`, excluded trials included.
    participants : DataFrame or None
        With ``participant_id``, ``dataset`` and, where known, ``age`` and ``sex``.
    target : str
    min_participants : int
        Reasons of exclusions that fewer participants have are counted together as ``other``.

    Returns
    -------
    summary : DataFrame
        Columns ``dataset``, ``fact``, ``value``.
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
