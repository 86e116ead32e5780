"""The synthetic stand-in study: everything that `make inputs` writes, from one seed.

The numbers are a simulation that has the shape of the study and, at full size, its picture: the
whole brain predicts the score a little, M1 does not, and nothing carries over to dataset 2.
"""

from facepain.simulation.design import FULL, SMALL, Cohort, Design
from facepain.simulation.images import Planted, draw_images, draw_planted, pack_pair
from facepain.simulation.scores import (
    PARTICIPANTS_COLUMNS,
    TRIALS_COLUMNS,
    draw_participants,
    draw_trials,
)

__all__ = [
    "FULL",
    "PARTICIPANTS_COLUMNS",
    "SMALL",
    "TRIALS_COLUMNS",
    "Cohort",
    "Design",
    "Planted",
    "draw_images",
    "draw_participants",
    "draw_planted",
    "draw_trials",
    "pack_pair",
]
