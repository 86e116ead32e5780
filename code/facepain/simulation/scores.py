"""Participants, trials and FACS scores of the stand-in study, shaped like the study's own."""

import math

import numpy as np
import pandas as pd

from facepain.simulation.draws import NORMAL_UNIT, draw_below, draw_normal, draw_order, open_stream

N_RUNS = 2
N_TRIALS = 16
FIRST_TRIALS = (1, 9)
AGE_RANGE = (18, 53)

# The first trial of each run hurts, and shows, more than the others (percent of the level).
FIRST_TRIAL_GAIN = 127
OTHER_TRIAL_GAIN = 96
# Spread of a participant's scores, in percent of the root of their level, and scores so small
# that nobody codes them.
SPREAD_RANGE = (15, 70)
SMALLEST_SCORE = 25
SMALLEST_LEVEL = 25

_AGE_STREAM, _SEX_STREAM, _SCORE_STREAM, _LOSS_STREAM = range(1, 5)

_NOTICE = "Synthetic data from a simulation; nobody was measured."

PARTICIPANTS_COLUMNS = {
    "_notice": {"Description": _NOTICE},
    "participant_id": {"Description": "Identifier of the participant."},
    "dataset": {
        "Description": "Dataset that the participant belongs to.",
        "Levels": {"dataset-1": "trains the models", "dataset-2": "tests them"},
    },
    "age": {"Description": "Age of the participant.", "Units": "years"},
    "sex": {"Description": "Sex of the participant.", "Levels": {"F": "female", "M": "male"}},
}

TRIALS_COLUMNS = {
    "_notice": {"Description": _NOTICE},
    "participant_id": {"Description": "Identifier of the participant."},
    "dataset": PARTICIPANTS_COLUMNS["dataset"],
    "run": {"Description": "Run of eight painful trials.", "Levels": {"1": "first", "2": "second"}},
    "trial": {"Description": "Number of the painful trial, 1-16; 1-8 are run 1, 9-16 run 2."},
    "facs": {
        "Description": "Facial expression of pain in the trial: FACS composite score, 0 or more.",
        "Units": "arbitrary",
    },
    "contrast": {
        "Description": (
            "Path of the trial's contrast image header below inputs/contrasts; empty where the"
            " trial has no image, which only excluded trials lack."
        )
    },
    "excluded": {
        "Description": "Why the trial is not used; empty for a usable trial.",
        "Levels": {
            "motion": "head motion; the image exists and is not used",
            "run aborted": "the run was not completed; no image",
            "no scan": "the participant was not scanned; no image",
        },
    },
}


def draw_participants(design):
    """Draw who takes part: one row a participant, with the columns of `PARTICIPANTS_COLUMNS`."""
    tables = []
    for number, cohort in enumerate(design.cohorts):
        n = cohort.n_enrolled
        sex = np.repeat(["F", "M"], [cohort.n_women, n - cohort.n_women])
        order = draw_order(open_stream(design.seed, _SEX_STREAM, number), n)
        columns = {
            "dataset": cohort.name,
            "age": _draw_ages(cohort, open_stream(design.seed, _AGE_STREAM, number)),
            "sex": sex[order],
        }
        tables.append(pd.DataFrame(columns))
    participants = pd.concat(tables, ignore_index=True)
    ids = [f"sub-{number:03d}" for number in range(1, len(participants) + 1)]
    participants.insert(0, "participant_id", ids)
    return participants


def draw_trials(design):
    """Draw the scores of every trial and which trials are lost: 16 rows a participant."""
    participants = draw_participants(design)
    scores, reasons = [], []
    for number, cohort in enumerate(design.cohorts):
        lost = _draw_losses(cohort, open_stream(design.seed, _LOSS_STREAM, number))
        stream = open_stream(design.seed, _SCORE_STREAM, number)
        scores.append(_draw_scores(cohort, lost == "", stream))
        reasons.append(lost)
    trials = participants.loc[np.repeat(participants.index, N_TRIALS), ["participant_id", "dataset"]]
    trials = trials.reset_index(drop=True)
    trial = np.tile(np.arange(1, N_TRIALS + 1), len(participants))
    trials["run"] = (trial - 1) // (N_TRIALS // N_RUNS) + 1
    trials["trial"] = trial
    trials["facs"] = np.concatenate(scores).ravel() / 100
    excluded = np.concatenate(reasons).ravel()
    trials["contrast"] = [
        f"{name}/{name}_trial-{number:02d}_con.hdr" if reason in ("", "motion") else ""
        for name, number, reason in zip(trials["participant_id"], trial, excluded, strict=True)
    ]
    trials["excluded"] = excluded
    return trials


def _draw_ages(cohort, stream):
    # Middle values of n equal shares of a large sorted sample: the mean and SD come out as asked.
    n = cohort.n_enrolled
    sample = np.sort(draw_normal(stream, 101 * n))[50::101]
    tenths = cohort.age_mean + (cohort.age_sd * sample + NORMAL_UNIT // 2) // NORMAL_UNIT
    ages = np.clip((tenths + 5) // 10, *AGE_RANGE)
    return ages[draw_order(stream, n)]


def _draw_losses(cohort, stream):
    """Draw why trials are excluded: strings (n_enrolled, 16), empty for usable trials."""
    lost = np.full((cohort.n_enrolled, N_TRIALS), "", dtype=object)
    order = draw_order(stream, cohort.n_enrolled)
    n_absent = cohort.n_enrolled - cohort.n_usable
    absent, rest = order[:n_absent], order[n_absent:]
    for position, row in enumerate(absent):
        lost[row] = "motion" if position else "no scan"
    run_length = N_TRIALS // N_RUNS
    for position, row in enumerate(rest[: cohort.n_runs_lost]):
        run = draw_below(stream, N_RUNS, 1)[0]
        reason = "motion" if position else "run aborted"
        lost[row, run * run_length : (run + 1) * run_length] = reason
    further = rest[cohort.n_runs_lost :]
    for row, n_lost in zip(further, cohort.trials_lost, strict=False):
        lost[row, draw_order(stream, N_TRIALS)[:n_lost]] = "motion"
    return lost


def _draw_scores(cohort, usable, stream):
    """Draw scores in hundredths (n_enrolled, 16); the facts hold where `usable`."""
    levels = _draw_levels(cohort, usable.any(axis=1), stream)
    scores = np.stack([_draw_participant(cohort, level, stream) for level in levels])
    for row in np.flatnonzero(levels):
        if not scores[row, usable[row]].any():
            scores[row, np.flatnonzero(usable[row])[:1]] = 100
    largest = np.where(usable, scores, 0).argmax()
    scores.flat[largest] = cohort.top_score
    return scores


def _draw_levels(cohort, takes_part, stream):
    """Draw every participant's mean score in hundredths: few express much, several nothing."""
    n = cohort.n_usable
    ranks = 2 * np.arange(n, dtype=object) + 1
    levels = cohort.top_level * ranks**cohort.level_power // (2 * n) ** cohort.level_power
    levels = np.maximum(levels.astype(np.int64), SMALLEST_LEVEL)
    levels[: cohort.n_silent] = 0
    drawn = np.empty(cohort.n_enrolled, dtype=np.int64)
    drawn[takes_part] = levels[draw_order(stream, n)]
    drawn[~takes_part] = levels[draw_below(stream, n, int(np.sum(~takes_part)))]
    return drawn


def _draw_participant(cohort, level, stream):
    """Draw sixteen scores in hundredths around a level; expressed ones lie higher, so that their mean is near it."""
    if level == 0:
        return np.zeros(N_TRIALS, dtype=np.int64)
    level = int(level)
    gain = np.full(N_TRIALS, OTHER_TRIAL_GAIN)
    gain[np.array(FIRST_TRIALS) - 1] = FIRST_TRIAL_GAIN
    low, high = SPREAD_RANGE
    spread = low + int(draw_below(stream, high - low, 1)[0])
    deviation = math.isqrt((level + cohort.silence) * 1000) * spread // 100
    expressed = (level + cohort.silence) * gain // 100
    expressed += deviation * draw_normal(stream, N_TRIALS) // NORMAL_UNIT
    expressed = np.clip(expressed, SMALLEST_SCORE, cohort.top_score)
    scores = _round_as_coded(cohort, expressed, stream)
    is_expressed = draw_below(stream, level + cohort.silence, N_TRIALS) < level
    return np.where(is_expressed, scores, 0)


def _round_as_coded(cohort, scores, stream):
    """Round hundredths to whole scores of 1 or more, a share of them to the cohort's fractions."""
    whole = np.maximum((scores + 50) // 100, 1) * 100
    fractions = np.array(cohort.fractions)[draw_below(stream, len(cohort.fractions), len(scores))]
    is_fraction = draw_below(stream, 100, len(scores)) < cohort.fraction_share
    coded = np.where(is_fraction, scores // 100 * 100 + fractions, whole)
    return np.minimum(coded, cohort.top_score)
