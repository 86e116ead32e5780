"""Signatures of the stand-in study, to compare weight maps with, and an atlas of networks: planted, not published."""

import numpy as np

from facepain.data.anatomy import find_brain, mni_coordinates, on_mni_grid
from facepain.simulation.images import FIELD_UNIT, FIELD_WIDTH_MM, draw_field, draw_planted, standardise_field

SIGNATURE_STREAM = 15
# The planted signature is 3 parts score pattern and 4 parts of its own: both have the same SD, so its cosine is 3/5.
SCORE_PART, OWN_PART = 3, 4
# Centres of the networks in mm: seven regions of about equal size, each with its mirror image.
NETWORK_CENTRES_MM = ((20, -80, 5), (30, -25, 55), (40, -50, 40), (45, -10, 5), (25, 0, -25), (35, 35, 25), (10, 45, 0))
SIGNATURE_COLUMNS = {
    "name": {"Description": "name of the map, used in results"},
    "file": {"Description": "image below this folder"},
    "kind": {"Description": "what the map is"},
    "source": {"Description": "where it comes from"},
    "licence": {"Description": "under which it may be used"},
}


def draw_signatures(design):
    """Draw the maps of the stand-in: by name a float32 image and what it is.

    ``planted`` has a cosine of 0.6 with the score pattern, ``unrelated`` none, ``network`` is the score pattern inside
    the first network, ``coarse`` the planted one on a grid twice as coarse.
    """
    planted = draw_planted(design)
    score = planted.patterns["score"]
    own, unrelated = (
        standardise_field(draw_field(design, FIELD_WIDTH_MM, SIGNATURE_STREAM, number), planted.support)
        for number in range(2)
    )
    shared = (SCORE_PART * score + OWN_PART * own) // 5
    inside = [np.where(planted.support, field, 0) for field in (shared, unrelated)]
    network = np.where(draw_networks(design.step_mm) == 1, score, 0)
    return {
        "planted": (_pack(inside[0], design.step_mm), "shares the planted score pattern, cosine 0.6"),
        "unrelated": (_pack(inside[1], design.step_mm), "smooth and unrelated to the score"),
        "network": (_pack(network, design.step_mm), "the planted score pattern within network-1"),
        "coarse": (_pack(shared[::2, ::2, ::2], 2 * design.step_mm), "the map planted, on a grid twice as coarse"),
    }


def draw_networks(step_mm):
    """Return the labels of seven made-up networks inside the brain: the nearest centre, left and right alike."""
    x, y, z = mni_coordinates(step_mm)
    distances = [(np.abs(x) - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in NETWORK_CENTRES_MM]
    nearest = np.argmin(np.stack(np.broadcast_arrays(*distances)), axis=0) + 1
    return np.where(find_brain(step_mm), nearest, 0).astype(np.int16)


def _pack(field, step_mm):
    # Whole numbers over a power of two are exact in float32.
    return on_mni_grid((field / FIELD_UNIT).astype(np.float32), step_mm)
