"""What is published: group level and nothing of a participant, whatever files are called; no trace of the machine."""

import gzip
import socket
import subprocess
import sys
import zipfile

import pytest
from repositories import run

from provenance.disclosure import is_participant_level, unpacked

pytestmark = pytest.mark.slow
DATASET = "3575b42f-3c69-47d6-bbb8-8108063e2ba5"
NAME = "-".join(("sub", "jane" + "roe"))  # in parts: this file is published too


def publish(folder, to, check=True, **variables):
    return run(["make", "publish", f"TO=ria+file://{to}"], folder, check, **variables)


def commit(folder, message, *paths):
    run(["git", "add", *(paths or ["--all"])], folder)
    run(["git", "commit", "--quiet", "--message", message], folder)


def dataset(store):
    return store / DATASET[:3] / DATASET[3:]


def everything(store):
    """Yield name and bytes of every file of a store, unpacked, and of every git object in it."""
    for path in store.rglob("*"):
        if path.is_file():
            yield str(path), unpacked(path)
    objects = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=dataset(store), capture_output=True, check=True
    )
    yield "git objects", objects.stdout


def keys(store):
    return {path.name for path in dataset(store).glob("annex/objects/*/*/*/*") if path.is_file()}


@pytest.fixture
def planted(study):
    """A study in which a participant's name stands in participant-level files, some under other names."""
    table = study / "outputs/prep/trials.tsv"
    text = table.read_text().replace("sub-002", NAME)
    table.unlink()
    table.write_text(text)
    commit(study, "Name a participant")
    run(["git", "mv", "outputs/regress/M1/lasso/predictions.tsv", "outputs/regress/M1/lasso/table.tsv"], study)
    run(["git", "mv", "outputs/prep/trials.tsv", "figures/everybody.npz"], study)
    run(["git", "mv", "outputs/extract/M1/signals.npy", "outputs/regress/M1/lasso/weights_best.npy"], study)
    (study / "figures/hover.html").write_text(f"<p title='{NAME}'>a trial</p>")
    commit(study, "Give other names")
    return study


def test_group_level_goes_and_no_participant_does(planted, tmp_path):
    public, private = tmp_path / "public", tmp_path / "nobodys-business"
    said = publish(planted, public, PRIVATE=str(private)).stdout
    assert "goes: outputs/regress/M1/lasso, 13 file(s)" in said
    assert "figures/everybody.npz, participant-level: it is outputs/prep/trials.tsv under another name" in said
    assert f"figures/hover.html, participant-level: it names {NAME}" in said
    links = {path: (planted / path).readlink().name for path in run(["git", "ls-files"], planted).stdout.splitlines()
             if (planted / path).is_symlink()}  # fmt: skip
    arrived = keys(public)
    assert links["outputs/regress/M1/lasso/weights_average.nii.gz"] in arrived
    renamed = (
        "figures/everybody.npz",
        "outputs/regress/M1/lasso/table.tsv",
        "outputs/regress/M1/lasso/weights_best.npy",
    )
    assert not arrived & {key for path, key in links.items() if is_participant_level(path) or path in renamed}
    secrets = [NAME.encode(), str(private).encode(), str(planted).encode(), socket.gethostname().encode()]
    for name, content in everything(public):
        assert not [secret for secret in secrets if len(secret) > 3 and secret in content], name
    authors = run(["git", "log", "--format=%an <%ae> %cn", "git-annex"], dataset(public)).stdout.splitlines()
    assert set(authors) == {"The face of pain <face-of-pain@example.invalid> The face of pain"}
    assert set(links.values()) <= keys(private)
    # The repository that published is as it was: no sibling that a later push could send everything to.
    assert run(["git", "remote"], planted).stdout == ""

    stranger = tmp_path / "stranger"
    run(["datalad", "clone", f"ria+file://{public}#{DATASET}", str(stranger)], tmp_path)
    path = "outputs/regress/M1/lasso/weights_average.nii.gz"
    run(["datalad", "get", path], stranger)
    assert (stranger / path).read_bytes() == (planted / path).read_bytes()
    assert run(["datalad", "get", "figures/everybody.npz"], stranger, check=False).returncode != 0

    # An update finds what an ordinary push would have sent there, and stops.
    key = links["outputs/regress/M1/lasso/table.tsv"]
    smuggled = dataset(public) / "annex/objects/aa/bb" / key / key
    smuggled.parent.mkdir(parents=True)
    smuggled.write_text("of a participant")
    done = publish(planted, public, check=False)
    assert done.returncode != 0 and "the store holds the content of outputs/regress/M1/lasso/" in done.stdout
    smuggled.unlink()
    (planted / "NOTES.md").write_text("More.")
    commit(planted, "Add a note")
    result = planted / path
    result.unlink()
    result.write_bytes(gzip.compress(b"another map"))
    commit(planted, "Change a result")
    publish(planted, public)
    assert keys(public) == arrived | {result.readlink().name}
    assert "Change a result" in run(["git", "log", "-1", "--format=%s", "main"], dataset(public)).stdout
    another = tmp_path / "another-stranger"
    run(["datalad", "clone", f"ria+file://{public}#{DATASET}", str(another)], tmp_path)
    for clone in (stranger, another):
        run(["git", "pull", "--quiet", "--ff-only", "origin", "main"], clone)
        run(["datalad", "get", path], clone)
        assert (clone / path).read_bytes() == result.read_bytes()
    for name, content in everything(public):
        assert not [secret for secret in secrets if len(secret) > 3 and secret in content], name


def test_what_breaks_the_rule_stops_before_anything_is_sent(study, tmp_path):
    store = tmp_path / "public"
    breaches = {
        "outputs/extract/M1/notes.txt": ("in git", "outputs/extract/M1/notes.txt is participant-level and lies in git"),
        "docs/t.tsv": ((study / "outputs/prep/trials.tsv").read_text(), "docs/t.tsv is a copy of outputs/prep/"),
        "figures/who.svg": ("<text>sub-001</text>", "figures/who.svg names a participant (sub-001) and lies in git"),
        "outputs/place.json": (f'"{study}"', f"outputs/place.json holds {study}"),
    }
    start = run(["git", "rev-parse", "HEAD"], study).stdout.strip()
    for path, (content, said) in breaches.items():
        (study / path).parent.mkdir(exist_ok=True)
        (study / path).write_text(content)
        run(["git", "-c", "annex.largefiles=nothing", "add", path], study)
        commit(study, "Add a file", path)
        # To remove it again is not enough: history travels.
        run(["git", "rm", "--quiet", path], study)
        commit(study, "Remove it")
        done = publish(study, store, check=False)
        assert done.returncode != 0
        assert f"BREAKS THE RULE: {said}" in done.stdout, done.stdout
        assert not store.exists()
        run(["git", "reset", "--quiet", "--hard", start], study)
    run(["git", "commit", "--quiet", "--allow-empty", "--message", f"Keep all in {tmp_path}/safe"], study)
    done = publish(study, store, check=False, PRIVATE=f"{tmp_path}/safe")
    assert f"BREAKS THE RULE: a commit message holds {tmp_path}/safe" in done.stdout
    done = publish(study, store, check=False, PRIVATE=f"{store}/within")
    assert "TO and PRIVATE are the same store or lie in one another" in done.stdout
    assert "TO= is missing" in run(["make", "publish"], study, check=False).stdout


def test_a_plain_clone_publishes_what_it_has(finished_study, tmp_path):
    folder, _ = finished_study
    clone = tmp_path / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(folder), str(clone)], tmp_path)
    run(["git", "remote", "remove", "origin"], clone)
    said = publish(clone, tmp_path / "public").stdout
    assert "not here: outputs/regress/M1/lasso, " in said
    assert not keys(tmp_path / "public")
    run([sys.executable, "code/study.py", "inputs"], clone)
    run([sys.executable, "code/study.py", "run", "prep"], clone)
    said = publish(clone, tmp_path / "public").stdout
    assert "stays: outputs/prep, " in said
    assert not keys(tmp_path / "public")
    shallow = tmp_path / "shallow"
    run(["git", "clone", "--quiet", "--depth", "1", f"file://{folder}", str(shallow)], tmp_path)
    assert "this clone is shallow" in publish(shallow, tmp_path / "public", check=False).stdout


def test_packed_files_are_looked_into(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("names.npy", f"{NAME} " * 50)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(f"{NAME} ".encode() * 50))
    for path in (tmp_path / "a.npz", tmp_path / "a.nii.gz"):
        assert NAME.encode() not in path.read_bytes()
        assert NAME.encode() in unpacked(path)
