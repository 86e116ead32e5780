"""The design of the stand-in study: who took part, what was lost, how large the images are."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Cohort:
    """One dataset of the study."""

    name: str
    n_enrolled: int
    n_usable: int  # those of the enrolled participants with a usable trial
    n_runs_lost: int  # participants of whom one of the two runs is excluded
    trials_lost: tuple[int, ...]  # excluded trials of each further participant with some
    n_women: int
    age_mean: int  # in tenths of a year, before ages are cut to 18-53 years
    age_sd: int
    n_silent: int  # usable participants who score 0 on every trial
    top_level: int  # in hundredths; participants' mean scores rise to it
    level_power: int  # with this power of their rank
    silence: int  # mean score, in hundredths, at which every second trial is a 0
    fraction_share: int  # scores above 0 that are not whole, in percent
    fractions: tuple[int, ...]  # what such scores have behind the point, in hundredths
    top_score: int  # the largest score, in hundredths
    score_gain: int  # how strongly images carry the score, in percent
    scanner: int  # 1 where images carry the scanner's pattern, else 0


@dataclass(frozen=True)
class Design:
    """The stand-in study."""

    seed: int  # every number is drawn from it
    cohorts: tuple[Cohort, ...]
    step_mm: int  # voxel size of the images on the MNI grid


DATASET_1 = Cohort(
    name="dataset-1",
    n_enrolled=36,
    n_usable=34,
    n_runs_lost=1,
    trials_lost=(2, 1),
    n_women=18,
    age_mean=234,
    age_sd=26,
    n_silent=4,
    top_level=2650,
    level_power=5,
    silence=90,
    fraction_share=27,
    fractions=(50, 50, 33, 67, 25, 75),
    top_score=4333,
    score_gain=100,
    scanner=0,
)
DATASET_2 = Cohort(
    name="dataset-2",
    n_enrolled=19,
    n_usable=18,
    n_runs_lost=2,
    trials_lost=(2, 2, 2, 1, 1),
    n_women=10,
    age_mean=360,
    age_sd=125,
    n_silent=4,
    top_level=3000,
    level_power=9,
    silence=70,
    fraction_share=12,
    fractions=(10, 20, 30, 40, 50, 60, 70, 80, 90),
    top_score=4050,
    score_gain=60,
    scanner=1,
)
# The seed is one of a few among hundreds at which both the scores' facts and the published picture appear.
FULL = Design(seed=2686, cohorts=(DATASET_1, DATASET_2), step_mm=3)
# With 8 and 6 participants both datasets are on both sides of every default fold of the classifier.
SMALL = Design(
    seed=2686,
    cohorts=(
        replace(DATASET_1, n_enrolled=9, n_usable=8, n_women=4, n_silent=1, trials_lost=(1,)),
        replace(DATASET_2, n_enrolled=6, n_usable=6, n_women=3, n_silent=1, n_runs_lost=0, trials_lost=(2,)),
    ),
    step_mm=6,
)
