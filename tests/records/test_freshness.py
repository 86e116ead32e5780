"""A result without participant-level files is fresh where those of others are here, and absent in a public clone."""

import pytest

from provenance.declare import Cell, Stage
from provenance.records import freshness
from provenance.records.freshness import FRESH, Freshness


@pytest.mark.parametrize(("others", "state"), [(["outputs/a/one/signals.npy"], "fresh"), ([], "absent")])
def test_a_result_that_was_left_out_is_no_unpublished_one(others, state, monkeypatch, tmp_path):
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
    found = freshness.assess(cells, tmp_path)
    assert found["a two"].state == state
    assert found["a one"].state == state
