"""The command that rebuilds the inputs: the recorded commits, and nobody's data overwritten."""

import gzip
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from repositories import make_repository, user_environment

import make_inputs
from errors import InputError
from facepain.simulation.input_files import format_json, format_table, store_gzip
from make_inputs import DATASET_IDS
from provenance.annex.dataset import build_dataset, remove_tree

SCRIPT = Path(make_inputs.__file__)


def run(folder, *command, status=0):
    """Run a command as a user does and return what it prints; errors of it are shown."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    for identity in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"):
        kept[f"GIT_{identity}"] = "x@y"
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
    return done.stderr if status else done.stdout


def build_inputs(folder):
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "from pathlib import Path; from make_inputs import make_inputs; make_inputs(Path('inputs'))"
    )
    return run(folder, sys.executable, "-c", code)


def begin_repository(folder):
    """Make a repository that is to have small inputs as subdatasets, as this one does."""
    sections = [
        f'[submodule "inputs/{name}"]\n\tpath = inputs/{name}\n\turl = ./inputs/{name}\n'
        f"\tdatalad-id = {dataset_id}\n\tupdate = none\n\tfacepain-design = small\n"
        for name, dataset_id in DATASET_IDS.items()
    ]
    (folder / ".gitmodules").write_text("".join(sections))
    (folder / ".gitignore").write_text("inputs/.*.building/\n")
    run(folder, "git", "init", "-q", "-b", "main")
    commit_all(folder, "Begin")


def commit_all(folder, message):
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "-q", "-m", message)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Return a repository with the small inputs built and recorded."""
    folder = tmp_path_factory.mktemp("recorded")
    begin_repository(folder)
    build_inputs(folder)
    commit_all(folder, "Record the inputs")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return a repository that records three tiny datasets."""
    folder = tmp_path_factory.mktemp("tiny")
    begin_repository(folder)
    for name, dataset_id in DATASET_IDS.items():
        files = [("x.tsv", b"1\n"), ("x.img", b"2")]
        build_dataset(folder / "inputs" / name, files, dataset_id, name)
    commit_all(folder, "Record the inputs")
    return folder


@pytest.fixture
def repository(tiny, tmp_path, monkeypatch):
    """Return a copy of the tiny repository, as the working folder; building is forbidden."""
    copy = shutil.copytree(tiny, tmp_path / "repository", symlinks=True)
    monkeypatch.setattr(make_inputs, "build", lambda path, design: pytest.fail(f"{path} built"))
    monkeypatch.chdir(copy)
    return copy


def test_clone_rebuilds_the_recorded_commits(recorded, tmp_path):
    run(tmp_path, "git", "clone", "-q", "--recursive", recorded, "clone")
    clone = tmp_path / "clone"
    printed = build_inputs(clone)
    assert printed.count(": built, commit ") == len(DATASET_IDS)
    assert run(clone, "git", "status", "--porcelain") == ""
    assert "clean" in run(clone, "datalad", "status", "-r")
    for name, dataset_id in DATASET_IDS.items():
        config = (clone / "inputs" / name / ".datalad" / "config").read_text()
        assert dataset_id in config
    assert sorted(path.name for path in (clone / "inputs").iterdir()) == sorted(DATASET_IDS)


def test_inputs_are_what_the_stages_read(recorded):
    inputs = recorded / "inputs"
    trials = pd.read_csv(inputs / "behavior" / "trials.tsv", sep="\t", keep_default_na=False)
    participants = pd.read_csv(inputs / "behavior" / "participants.tsv", sep="\t")
    assert list(participants) == ["participant_id", "dataset", "age", "sex"]
    columns = ["participant_id", "dataset", "run", "trial", "facs", "contrast", "excluded"]
    assert list(trials) == columns
    usable = trials[trials["excluded"] == ""]
    assert (usable["contrast"] != "").all()
    for path in trials.loc[trials["contrast"] != "", "contrast"]:
        assert nib.load(inputs / "contrasts" / path).get_data_dtype() == np.int16
    masks = {path.name for path in (inputs / "masks").glob("*.nii.gz")}
    assert masks == {"whole-brain.nii.gz", "M1.nii.gz", "without-M1.nii.gz"}
    for name in masks:
        assert nib.load(inputs / "masks" / name).shape == (91, 109, 91)
        assert (inputs / "masks" / name.replace(".nii.gz", ".json")).exists()


def test_every_dataset_says_where_it_comes_from(recorded):
    for name in ("contrasts", "behavior"):
        assert "Synthetic: " in (recorded / "inputs" / name / "README.md").read_text()
    assert "licence" in (recorded / "inputs" / "masks" / "README.md").read_text()


def test_a_dataset_without_an_id_that_lost_its_content_is_left_alone(repository):
    record = ["git", "config", "--file", ".gitmodules"]
    run(repository, *record, "--unset", "submodule.inputs/contrasts.datalad-id")
    run(repository, *record, "submodule.inputs/contrasts.url", "https://example.org/mine")
    (content,) = (repository / "inputs/contrasts/.git/annex/objects").rglob("SHA256E*.img/*")
    content.parent.chmod(0o755)
    content.unlink()
    make_inputs.make_inputs(Path("inputs"), ["contrasts"])
    assert (repository / "inputs/contrasts/x.tsv").exists()


def test_second_call_builds_nothing_and_imports_nothing_heavy(recorded):
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "from pathlib import Path; import make_inputs; make_inputs.make_inputs(Path('inputs'))\n"
        "heavy = {'numpy', 'nibabel', 'pandas', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    printed = run(recorded, sys.executable, "-c", code)
    assert printed.count(": there, at commit ") == len(DATASET_IDS)


def test_unrecorded_datasets_are_left_as_they_are(recorded, tmp_path):
    run(tmp_path, "datalad", "clone", recorded / "inputs" / "masks", tmp_path / "inputs" / "masks")
    assert make_inputs.find_commit(tmp_path / "inputs" / "masks", None) is not None


def test_built_commit_other_than_the_recorded_one_stops(repository, monkeypatch):
    remove_tree(repository / "inputs" / "behavior")
    monkeypatch.setattr(make_inputs, "build", lambda path, design: "f" * 40)
    message = (
        r"^inputs/behavior was built at commit ffffffffff, this repository records \w{10}; the "
        r"simulation or the installed packages are .* install requirements.lock"
    )
    with pytest.raises(InputError, match=message):
        make_inputs.make_inputs(Path("inputs"))


def test_files_that_are_no_dataset_stop(repository):
    remove_tree(repository / "inputs" / "contrasts")
    (repository / "inputs" / "contrasts").mkdir()
    (repository / "inputs" / "contrasts" / "mine.img").write_bytes(b"mine")
    with pytest.raises(InputError, match="inputs/contrasts holds something that is not a dataset"):
        make_inputs.make_inputs(Path("inputs"))
    assert (repository / "inputs" / "contrasts" / "mine.img").read_bytes() == b"mine"


def test_link_to_data_elsewhere_stops(repository, tmp_path):
    remove_tree(repository / "inputs" / "contrasts")
    (repository / "inputs" / "contrasts").symlink_to(tmp_path / "on-a-disk-not-mounted")
    with pytest.raises(InputError, match="inputs/contrasts holds something that is not a dataset"):
        make_inputs.make_inputs(Path("inputs"))


def test_changed_dataset_stops_before_anything_is_built(repository):
    remove_tree(repository / "inputs" / "masks")
    (repository / "inputs" / "contrasts" / "x.tsv").write_text("changed\n")
    (repository / "inputs" / "contrasts" / "new.tsv").write_text("new\n")
    message = r"^inputs/contrasts has 2 file\(s\) that differ .* `git -C inputs/contrasts status`"
    with pytest.raises(InputError, match=message):
        make_inputs.make_inputs(Path("inputs"))


def test_dataset_at_another_commit_stops(repository):
    (repository / "inputs" / "masks" / "x.tsv").write_text("changed\n")
    run(repository / "inputs" / "masks", "git", "commit", "-q", "-a", "-m", "Mine")
    message = r"^inputs/masks is at commit \w{10}, this repository records \w{10}; it is left alone"
    with pytest.raises(InputError, match=message):
        make_inputs.make_inputs(Path("inputs"))


def test_own_dataset_that_is_not_installed_is_not_simulated(repository):
    remove_tree(repository / "inputs" / "masks")
    key = "submodule.inputs/masks.datalad-id"
    run(repository, "git", "config", "--file", ".gitmodules", key, "their-id")
    with pytest.raises(InputError, match=r"\(their-id\), .*`datalad get --no-data inputs/masks`"):
        make_inputs.make_inputs(Path("inputs"))


def test_own_dataset_that_is_recorded_is_kept(repository, capsys):
    (repository / "inputs" / "masks" / "x.tsv").write_text("mine\n")
    run(repository / "inputs" / "masks", "git", "commit", "-q", "-a", "-m", "Mine")
    run(repository, "git", "commit", "-q", "-a", "-m", "Record my masks")
    make_inputs.make_inputs(Path("inputs"))
    assert capsys.readouterr().out.count(": there, at commit ") == len(DATASET_IDS)


def test_full_disk_stops_with_what_is_needed(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 5 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"contrasts needs \d+ MB of disk, 5 MB are free"):
        make_inputs.build(tmp_path / "contrasts", "full")
    assert list(tmp_path.iterdir()) == []


def test_stopped_build_leaves_nothing(tmp_path):
    folder = make_repository(tmp_path / "repository", design=None)
    command = (sys.executable, "code/study.py", "inputs")
    given = {"cwd": folder, "env": user_environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **given) as process:
        while not list(folder.glob("inputs/.contrasts.building/.git/annexed/*")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.terminate()
        said = process.stderr.read().decode()
    assert said == "interrupted: nothing half-made was kept; the same command continues\n"
    assert process.returncode == 1
    assert sorted(path.name for path in (folder / "inputs").iterdir()) == ["behavior", "masks"]


def test_error_is_one_line_and_a_status(tmp_path):
    folder = make_repository(tmp_path / "repository", design=None)
    (folder / "inputs" / "masks").mkdir(parents=True)
    (folder / "inputs" / "masks" / "mine.img").write_bytes(b"mine")
    errors = run(folder, sys.executable, "code/study.py", "inputs", status=1)
    assert errors.startswith("inputs: inputs/masks holds something")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_001])
def test_gzip_without_compression_unpacks(size):
    content = (np.arange(size) % 251).astype(np.uint8).tobytes()
    packed = store_gzip(content)
    assert gzip.decompress(packed) == content
    assert len(packed) == 18 + 5 * max(1, -(-size // 65535)) + size


def test_table_has_the_same_bytes_everywhere():
    table = pd.DataFrame({"name": ["Zoë", ""], "facs": [1 / 3, 2.0], "run": [1, 2]})
    assert format_table(table) == "name\tfacs\trun\nZoë\t0.333333\t1\n\t2\t2\n".encode()


def test_json_is_sorted():
    assert format_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'.encode()
