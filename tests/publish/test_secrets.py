"""The second net: a participant's name is found however it is written, packed or escaped, and little else is."""

import gzip
import socket
import subprocess

import nibabel
import numpy as np
import pytest
from planted_names import FORMS
from repositories import ROOT

from errors import InputError
from provenance.publish import contents, declared, secrets
from provenance.publish.declared import Item, list_code
from provenance.publish.secrets import Secrets
from stages import STUDY

NAME = "Zoë" + "-Jürgens"  # in parts: this file is published too
PLAIN = "zq" + "janeroe"
KNOWN = Secrets({NAME, PLAIN, "sub-014", "07", "x1", "Ann"})


@pytest.mark.parametrize("form", FORMS)
def test_a_name_is_found_in_every_form(form):
    for name in (NAME, PLAIN):
        assert KNOWN.find("outputs/a", FORMS[form](name)), name
        assert KNOWN.find("code/a", FORMS[form](name), is_example=True), name
        assert Secrets({name}).find("outputs/a", FORMS[form]("nobody-at-all")) is None


@pytest.mark.parametrize(
    "content",
    [
        "sub-014",
        "sub-099, whom no table names",
        "participant 07",
        '{"participant": "x1"}',
        "Subject=07 was left out",
        "participant_id\tscore\n1\t0.4\n",
        '"score","participant_id"\n0.4,1\n',
        '{"participant_id": ["1", "2"]}',
        '{"target": [1], "group": ["1"]}',
        "the mean of Ann's trials",
        "ann_01",
    ],
)
def test_what_concerns_a_participant_is_found(content):
    assert KNOWN.find("outputs/a.tsv", content.encode())
    assert KNOWN.find("outputs/a.gz", gzip.compress(content.encode()))


@pytest.mark.parametrize(
    "content",
    [
        "mask\tr2\nM1\t-0.07\nx1\t07\n",  # short ids are values of any table
        "07 of 30 participants; 1 run",
        "a sub-cortical region",
        "Annotated",
        '{"participant_id": {"Description": "the repository\'s own id"}}',
        '{"columns": {"participant_id": "subject"}}',
    ],
)
def test_what_concerns_groups_is_not(content):
    assert KNOWN.find("outputs/a.tsv", content.encode()) is None


@pytest.mark.parametrize(
    "text",
    ["of Jane Roe", "roe, jane", "Jane_Roe.png", "janeroe", "Jane\nRoe", "Jane\tRoe", "ROE;  jane", "<b>Jane</b> Roe"],
)
def test_a_name_of_several_words_is_found_however_they_are_joined(text):
    # In parts: this file is published too.
    for name in ("Jane" + " Roe", "jane" + "_roe", "Roe," + "Jane"):
        assert Secrets({name}).find("outputs/a.tsv", text.encode()), name
        assert Secrets({name}).find("outputs/a.tsv", b"Jane was there, Roe too") is None
    assert Secrets({"Mary " + "Jane" + " Roe"}).find("a", b"Roe, Mary" + b" Jane")
    # What joins the parts of an id is part of it.
    assert Secrets({"x_12"}).find("a", b"x = 12 or x12") is None


def test_letters_of_latin_1_become_what_others_become():
    letters = "".join(map(chr, range(256)))
    assert contents.normalise(letters) == contents._fold(letters)


def test_a_whole_file_of_a_package_is_not_searched():
    library = f"a library by {NAME}".encode()
    known = Secrets({NAME}, libraries=[library])
    assert known.find("figures/library.js", library) is None
    assert known.find("figures/library.js", library + b" ") and known.find(f"figures/{NAME}.js", library)


def test_code_may_show_ids_of_the_synthetic_form_and_no_others():
    assert KNOWN.find("docs/a.md", b"such as sub-014", is_example=True) is None
    assert KNOWN.find(f"docs/{PLAIN}.md", b"", is_example=True)
    assert Secrets({"sub-01" + "x"}).find("docs/a.md", b"such as sub-01x", is_example=True)


def test_voxels_and_pixels_are_no_text_and_damaged_archives_are_read_as_they_are():
    voxels = np.frombuffer(b"\0 Ann \0\0" * 8, np.uint8).reshape(4, 4, 4)
    assert KNOWN.find("a.nii.gz", gzip.compress(nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes())) is None
    for content in (
        b"\x1f\x8b\x08no gzip",
        b"PK\x03\x04no zip",
        gzip.compress(b"a" * 99)[:20],
        b"BZh91AYno",
        b"\x89PNG",
    ):
        assert KNOWN.find("outputs/a", content) is None
        assert KNOWN.find("outputs/a", content + PLAIN.encode())


def test_this_machine_and_private_places_are_found(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "zwnode")
    monkeypatch.setenv("LOGNAME", "zwlogin")
    monkeypatch.setenv("HOME", "/srv/people/zwlogin")
    known = Secrets((), ["/srv/safe", "ssh://lab/safe", *secrets.machine_names()], "/srv/people/zwlogin/public")
    for text in (
        "at zwnode.example.org",
        "/srv/people/zwlogin/x",
        "ria+file:///srv/safe#~pain",
        "%2fsrv%2fsafe",
        "by zwlogin",
    ):
        assert "private place" in known.find("a", text.encode()), text
    for text in ("/srv/safer", "zwnodes", "datalad clone ria+file:///srv/people/zwlogin/public#1"):
        assert known.find("a", text.encode()) is None, text
    # A name that is a word of this project says nothing, but for an address.
    monkeypatch.setattr(socket, "gethostname", lambda: "brain")
    monkeypatch.setenv("LOGNAME", "root")
    known = Secrets((), secrets.machine_names())
    assert known.find("a", b"root mean squared error of the whole-brain model") is None
    assert known.find("a", b"root@brain:/data")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A repository with one input dataset in place and another put aside."""
    monkeypatch.setattr(secrets, "ROOT", tmp_path)
    monkeypatch.setattr(secrets, "git_folder", lambda: tmp_path / ".git/facepain")

    def save(folder, files):
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        for command in (["init", "--quiet", "-b", "main"], ["add", "--all"], ["commit", "--quiet", "-m", "x"]):
            subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *command], cwd=folder, check=True)

    return tmp_path, save


def test_names_come_from_every_table_and_image_that_is_here(lab, monkeypatch):
    root, save = lab
    behaviour, images, aside = root / "inputs/behavior", root / "inputs/contrasts", root / ".git/facepain/datasets/1"
    params = '[prep]\nimages = "{participant_id}_con.hdr"\n[prep.columns]\nparticipant_id = "who"\n'
    save(root, {"README.md": "con images of a trial", "code/params.toml": params})
    tables = {
        "a.csv": "who;excluded;facs\nAda;;1\nEve;motion;2\n",
        "b.tsv": "subject\tage\nIvy\t30\n",
        "c.json": '[{"target": [1], "group": ["Una"]}]',
        "d.tsv": "facs\n4\n",
        "E.CSV": "\ufeffparticipant_id,facs\nIda,1\n",
        "f.tsv": '\n\nparticipant_id\tnote\nLea\t"left early\n"Noa"\tok\n',
        "g.dat": 'who;note\nPia;"left\nRia;x\n',
        "h.json": '\ufeff{"who": ["Uma"]}',
    }
    save(behaviour, tables)
    save(images, {"Joan_con.hdr": "", "trial/Maud/Maud1_con.img": ""})
    save(aside, {"t.tsv": "participant_id\nOlga\n"})
    for name in ("git", "object_ids"):
        original = getattr(secrets, name)
        monkeypatch.setattr(secrets, name, lambda *a, _original=original, **k: _original(*a, **{"root": root, **k}))
    assert secrets.gather_names(STUDY) == {
        *(
            "Ada",
            "Eve",
            "Ivy",
            "Una",
            "Joan",
            "Maud",
            "Maud1",
            "Olga",
            "Ida",
            "Lea",
            "Noa",
            '"Noa"',
            "Pia",
            "Ria",
            "Uma",
        )
    }


def test_places_come_from_all_that_git_and_git_annex_know(lab, monkeypatch):
    root, save = lab
    save(root, {"uuid.log": "1 zq@somehost:/scratch/zq/x timestamp=1s\n", "remote.log": "2 buprepo=/srv/bup name=x\n"})
    for arguments in ("branch git-annex", "config remote.a.url zq@zqlab:/data/x", "config remote.b.directory /srv/raw"):
        subprocess.run(["git", *arguments.split()], cwd=root, check=True)
    monkeypatch.setattr(secrets, "input_folders", list)
    original = secrets.git
    monkeypatch.setattr(secrets, "git", lambda *a, **k: original(*a, **{"root": root, **k}))
    known = Secrets((), secrets.gather_places())
    for text in ("/scratch/zq/x/y", "in /srv/bup", "/data/x", "zq@zqlab:/data/x", "/srv/raw/a.img"):
        assert "private place" in known.find("a", text.encode()), text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("outputs/prep/summary.tsv", False),
        ("outputs/prep/dataset-1.json", True),
        ("outputs/prep/d-1.json", True),
        ("outputs/prep/summary.x.json", True),
        ("outputs/prep/trials.tsv", True),
        ("outputs/prep/reliability.json", False),
        ("outputs/extract/M1/signals.npy", True),
        ("outputs/regress/M1/lasso/predictions.tsv", True),
        ("outputs/regress/M1/lasso/split_fold-3.npz", True),
        ("outputs/regress/M1/lasso/out_of_fold.tsv", True),
        ("outputs/regress/M1/lasso/influence.json", True),
        ("outputs/regress/M1/lasso/calibration.tsv", False),
        ("outputs/classify/whole-brain/predictions.json", True),
        ("outputs/participants/scores.png", True),
        ("outputs/regress/M1/lasso/fingerprints.tsv", True),
        ("outputs/prep/inputs.json", False),
        ("outputs/regress/M1/lasso/metrics.tsv", False),
        ("figures/scores.html", False),
    ],
)
def test_participant_level_files_are_told_by_path(path, expected):
    assert STUDY.is_private(path) is expected


def test_the_manifest_lists_the_code_and_documents_of_this_working_tree():
    """Changed code is not published before somebody has said that it may be seen."""
    if (ROOT / "PRIVATE.md").exists():
        pytest.skip("files of one's own study are named in code/publish.toml")
    listed = dict(line.split("\t") for line in (ROOT / "code/manifest.tsv").read_text().splitlines()[1:])
    present = list_code()
    differing = sorted(path for path in listed.keys() | present.keys() if listed.get(path) != present.get(path))
    assert not differing, "`make manifest` declares these to be public, commit code/manifest.tsv after it"


EXPECTED = 'expected a table [files] with a line such as "docs/a.md" = "ID"'
NO_FILE = (
    "which is no committed file that can be published; write its path from the root of the repository as "
    "`git ls-files` does, or remove that line"
)
WRONG = {
    'files = ["docs/a.md"]': f": files is not a table [files]; {EXPECTED}",
    '[[files]]\n"docs/a.md" = "ID"': f": files is not a table [files]; {EXPECTED}",
    '[file]\n"docs/a.md" = "ID"': f": file is not a table [files]; {EXPECTED}",
    '"docs/a.md" = "ID"': f": docs/a.md is not a table [files]; {EXPECTED}",
    '[files]\n"docs/b.md" = "ID"': f" names docs/b.md, {NO_FILE}",
    '[files]\n"/docs/a.md" = "ID"': f" names /docs/a.md, {NO_FILE}",
    '[files]\n"inputs/masks" = "ID"': f" names inputs/masks, {NO_FILE}",
    '[files]\n"docs/a.md" = "1"': (
        ": docs/a.md = '1'; expected the object id that `git rev-parse HEAD:docs/a.md` prints"
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_a_line_that_names_no_file_to_publish_is_refused(text, said, monkeypatch):
    committed = {"HEAD:code/manifest.tsv": "", "HEAD:code/publish.toml": text.replace("ID", "0" * 40)}
    monkeypatch.setattr(declared, "git", lambda _, name, check: committed[name])
    tree = {"docs/a.md": Item("100644", ""), "inputs/masks": Item("160000", "")}
    with pytest.raises(InputError) as error:
        declared.read_declarations(tree)
    assert str(error.value) == f"code/publish.toml{said}"
