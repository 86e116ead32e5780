"""A result without participant-level files is fresh where it was made, and absent in a public store's history."""

import pytest

from provenance.declare import Cell, Stage
from provenance.records import freshness
from provenance.records.freshness import FRESH, Freshness

SIGNALS = "outputs/a/one/signals.npy"


@pytest.mark.parametrize(
    ("is_public", "others", "states"),
    [
        (False, [SIGNALS], ("fresh", "fresh")),
        (True, [], ("absent", "absent")),
        (True, [SIGNALS], ("fresh", "absent")),  # somebody made one again
    ],
)
def test_a_result_that_was_left_out_is_no_unpublished_one(is_public, others, states, monkeypatch, tmp_path):
    stage = Stage("a", "", None, None, private=("*.npy",))
    cells = [Cell(stage, (name,), (), {}) for name in ("one", "two")]
    paths = [*others, *(f"{cell.folder}/inputs.json" for cell in cells)]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr(freshness, "object_ids", lambda root: dict.fromkeys(paths, "0" * 40))
    monkeypatch.setattr(freshness, "assess_records", lambda *_: dict.fromkeys(("a one", "a two"), Freshness(FRESH)))
    monkeypatch.setattr(freshness, "find_hidden", lambda *_: set())
    monkeypatch.setattr(freshness, "broken_files", lambda *_: [])
    monkeypatch.setattr(freshness, "is_published", lambda _: is_public)
    found = freshness.assess(cells, tmp_path)
    assert (found["a one"].state, found["a two"].state) == states
