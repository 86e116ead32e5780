"""What a crate says of single files and of the study as a whole."""

import hashlib

import pytest

from errors import InputError
from provenance.crate import ABSENT, PARTICIPANT_LEVEL, describe_file, read_citation

DECLARED = {"outputs/classify/M1/metrics.tsv", "metrics.tsv"}
CONTENT = b"fold\tr2\n1\t0.5\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = f"SHA256E-s{len(CONTENT)}--{SHA256}.tsv"
KNOWN = {"contentSize": str(len(CONTENT)), "sha256": SHA256, "encodingFormat": "text/tab-separated-values"}


@pytest.fixture
def annexed(tmp_path):
    """A function that puts a file into a folder, as a link to its object."""
    (tmp_path / "objects").mkdir()

    def put(path, content):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (tmp_path / "objects" / KEY).write_bytes(content)
        target.symlink_to(tmp_path / "objects" / KEY)
        return path

    return put


def test_a_file_is_described_alike_whether_its_content_is_here_or_not(annexed, tmp_path):
    path = annexed("outputs/classify/M1/metrics.tsv", None)
    absent = describe_file(path, DECLARED, tmp_path)
    assert absent == ({"name": path, "description": ABSENT} | KNOWN, False)
    (tmp_path / "objects" / KEY).write_bytes(CONTENT)
    assert describe_file(path, DECLARED, tmp_path) == ({"name": path} | KNOWN, True)


def test_of_what_is_not_declared_only_the_name_is_given_though_it_is_here(annexed, tmp_path):
    path = annexed("outputs/prep/trials.tsv", CONTENT)
    facts, is_included = describe_file(path, DECLARED, tmp_path)
    assert not is_included
    assert facts == {"name": path, "description": PARTICIPANT_LEVEL, "encodingFormat": KNOWN["encodingFormat"]}


def test_a_text_that_stands_for_absent_content_is_not_taken_for_it(tmp_path):
    (tmp_path / "metrics.tsv").write_text(f"/annex/objects/{KEY}\n")
    found = describe_file("metrics.tsv", DECLARED, tmp_path)
    assert found == ({"name": "metrics.tsv", "description": ABSENT} | KNOWN, False)


def test_content_that_is_not_what_was_recorded_is_refused(annexed, tmp_path):
    path = annexed("outputs/classify/M1/metrics.tsv", CONTENT.replace(b"5", b"6"))
    with pytest.raises(InputError, match=r"metrics\.tsv: its content does not fit its checksum"):
        describe_file(path, DECLARED, tmp_path)


CITATION = """\
title: "A study: of faces"
license: MIT
authors:
  - name: "The contributors"
  - family-names: Doe
    given-names: Jane
  - {family-names: Roe, given-names: Rita Maria}
keywords:
  - faces
references:
  - type: article
    title: "A paper"
    authors:
      - {family-names: Other, given-names: Some}
    doi: 10.1000/1
"""


def test_authors_are_those_of_the_study_and_not_of_the_paper(tmp_path):
    (tmp_path / "CITATION.cff").write_text(CITATION)
    citation = read_citation(tmp_path)
    people = [("Organization", "The contributors"), ("Person", "Jane Doe"), ("Person", "Rita Maria Roe")]
    expected = {"title": "A study: of faces", "license": "MIT", "paper": "A paper", "doi": "10.1000/1"}
    assert citation == expected | {"authors": people}


@pytest.mark.parametrize("field", ["title", "license", "given-names", "doi"])
def test_a_citation_that_lacks_something_is_refused(tmp_path, field):
    (tmp_path / "CITATION.cff").write_text(CITATION.replace(f"{field}:", "other:"))
    with pytest.raises(InputError, match=r"CITATION\.cff: expected title, license, authors"):
        read_citation(tmp_path)
