"""What names a participant or this machine, by path and by content, packed or not; and what only looks as if."""

import bz2
import gzip
import io
import lzma
import socket
import zipfile

import nibabel
import numpy as np
import pytest

from provenance.publish.disclosure import Machine, unpack, why_participant_level
from provenance.publish.history import annexed_key, identity
from provenance.publish.participant_names import Names, patient_of, read_ids
from stages import STUDY

ROE = "jane" + "roe"  # in parts: this file is published too
NAMES = Names({ROE, "sub-014", "07", "x1", "Ann"})


def reason(content, names=NAMES, **keywords):
    content = content if isinstance(content, bytes) else content.encode()
    return why_participant_level(list(unpack(content)), names, **keywords)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("outputs/prep/summary.tsv", True),
        ("outputs/extract/M1/signals.npy", True),
        ("outputs/regress/M1/lasso/predictions.tsv", True),
        ("outputs/regress/M1/lasso/split_fold-3.npz", True),
        ("outputs/regress/M1/lasso/out_of_fold.tsv", True),
        ("outputs/regress/M1/lasso/influence.json", True),
        ("outputs/regress/M1/lasso/calibration.tsv", False),
        ("outputs/classify/whole-brain/predictions.json", True),
        ("outputs/participants/scores.png", True),
        ("outputs/prep/inputs.json", False),
        ("outputs/regress/M1/lasso/metrics.tsv", False),
        ("figures/scores.html", False),
    ],
)
def test_paths(path, expected):
    assert STUDY.is_private(path) is expected


@pytest.mark.parametrize(
    "content",
    [
        f"fold\tbest\n1\t{ROE}\n",
        f"<p>{ROE.upper()}</p>",
        f"{ROE}_trial-01_con.img",
        "sub-014",
        "sub-099, of whom no table tells",
        "participant 07",
        '{"participant": "x1"}',
        "Subject=07 was left out",
        "participant_id\tscore\n1\t0.4\n",
        '"score","participant_id"\n0.4,1\n',
        '{"participant_id": ["1", "2"]}',
        '{"target": [1], "group": ["1"]}',
        "the mean of Ann's trials",
        '{"hovertemplate": "run 1, trial %{customdata[2]}"}',
    ],
)
def test_what_concerns_a_participant_is_found(content):
    assert reason(content)
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert reason(pack(content.encode()))
    with zipfile.ZipFile(held := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", gzip.compress(content.encode()))
    assert reason(held.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        "mask\tr2\nM1\t-0.07\nx1\t07\n",  # short ids are values of any table
        "07 of 30 participants; 1 run",
        "a sub-cortical region",
        "Annotated",
        "%{customdata[3]} trials tested",
        '{"participant_id": {"Description": "the repository\'s own id"}}',
    ],
)
def test_what_concerns_groups_is_not(content):
    assert reason(content) is None


def test_where_no_id_is_known_whatever_looks_like_one_counts():
    assert reason("a sub-cortical region", Names(set())) == "it names sub-cortical"


def test_examples_may_show_synthetic_ids_and_no_others():
    assert reason("such as sub-014", is_example=True) is None
    assert reason(f"such as {ROE}", is_example=True)
    assert reason("participant_id\n1\n", is_example=True)


def test_names_in_arrays_and_headers_are_found():
    held = io.BytesIO()
    np.savez(held, who=np.array([ROE, "b" * 12]))
    assert reason(held.getvalue()) == f"it names {ROE}"
    np.savez(held := io.BytesIO(), who=np.array(["sub-014", "sub-015"]))
    assert reason(held.getvalue())
    img = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.float32), np.eye(4))
    assert reason(gzip.compress(img.to_bytes())) is None
    img.header["descrip"] = b"Ann, run 1"
    assert reason(gzip.compress(img.to_bytes())) == "it names ann"
    # By chance three letters stand in any binary content, which is no name.
    img = nibabel.Nifti1Image(np.frombuffer(b"\0 Ann \0\0" * 8, np.uint8).reshape(4, 4, 4), np.eye(4))
    assert reason(img.to_bytes()) is None


def test_the_patient_of_an_analyze_header_is_found_whoever_it_is():
    header = nibabel.AnalyzeHeader()
    assert patient_of(header.binaryblock) == ""
    raw = bytearray(header.binaryblock)
    raw[302:306] = b"J.D."
    assert reason(bytes(raw)) == 'it names the patient "J.D." in the header of an image'
    # There NIfTI has numbers.
    affine = np.diag([3.3, 3.3, 3.3, 1.0])
    assert patient_of(nibabel.Nifti1Pair(np.zeros((2, 2, 2), np.float32), affine).header.binaryblock) == ""


def test_damaged_archives_are_read_as_they_are():
    for content in (b"\x1f\x8bno gzip", b"PK\x03\x04no zip", gzip.compress(b"a" * 99)[:20], b"BZhno"):
        assert next(unpack(content)) == content
        assert list(unpack(content))


def test_the_machine_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(socket, "gethostname", lambda: "zwnode")
    monkeypatch.setenv("LOGNAME", "zwlogin")
    monkeypatch.setenv("HOME", "/home/zwlogin")
    machine = Machine(["/srv/safe", "ssh://lab/safe", ""], "/home/zwlogin/public")
    for told in ("at zwnode.example.org", "/home/zwlogin/x", "ria+file:///srv/safe#~pain", "ssh://lab/safe"):
        assert machine.find(told.encode()), told
    for told in ("/srv/safer", "zwnodes", "datalad clone ria+file:///home/zwlogin/public#1", "zwlogin"):
        assert machine.find(told.encode()) is None, told
    assert machine.find(b"by zwlogin", in_result=True) == "zwlogin"
    # A name that is a word besides tells of a machine in an address only.
    monkeypatch.setattr(socket, "gethostname", lambda: "brain")
    monkeypatch.setenv("LOGNAME", "root")
    machine = Machine([], ordinary="Which parts of the brain?")
    assert machine.find(b"root mean squared error of the whole-brain model", in_result=True) is None
    assert machine.find(b"root@brain:/data")


def test_ids_come_from_the_tables_that_are_here(tmp_path):
    assert read_ids(tmp_path) == set()
    (tmp_path / "outputs/prep").mkdir(parents=True)
    (tmp_path / "outputs/prep/trials.tsv").write_text(f"dataset\tparticipant_id\na\t{ROE}\na\tn/a\n")
    assert read_ids(tmp_path) == {ROE}


def test_annexed_content_is_told_by_link_or_pointer_whatever_its_name():
    key = f"SHA256E-s3--{'ab' * 32}.tsv"
    assert annexed_key("120000", f"../.git/annex/objects/a/b/{key}/{key}".encode()) == key
    assert annexed_key("100644", f"/annex/objects/{key}\n".encode()) == key
    assert annexed_key("100644", f"see .git/annex/objects/a/b/{key}/{key}".encode()) is None
    assert identity(key) == identity(key.replace(".tsv", ".npz")) == "ab" * 32
    assert identity("WORM-s3-m1--a") == "WORM-s3-m1--a"
