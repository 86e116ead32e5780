"""Tables: what names a thing is read as text, by one reader."""

import re

import pandas as pd
import pytest

from files.outputs import OutputFolder
from files.tables import read_table
from provenance.repository import ROOT


def test_no_other_place_reads_a_table_and_lets_pandas_guess():
    for path in sorted((ROOT / "code").rglob("*.py")):
        if path != ROOT / "code/files/tables.py":
            # In texts too: the notebook's cells are written as text.
            found = re.findall(r"read_csv\s*\(|(?:pd|pandas)\.read_\w+", path.read_text(encoding="utf-8"))
            assert not found, path


@pytest.mark.parametrize("name", ["001", "1e5", "1.10", "-0", "inf", "True", "0x1", "NA", "nan", "null", " 1"])
def test_what_looks_like_a_number_stays_the_text_it_is(tmp_path, name):
    folder = OutputFolder(tmp_path / "partial")
    written = pd.DataFrame({"participant_id": [name, "1"], "dataset": name, "trial": [1, 2], "score": [0.5, None]})
    folder.write_table("t.tsv", written)
    table = read_table(tmp_path / "partial/t.tsv")
    assert table["participant_id"].tolist() == [name, "1"] and table["dataset"].tolist() == [name] * 2
    assert table["trial"].tolist() == [1, 2] and table["score"].isna().tolist() == [False, True]
