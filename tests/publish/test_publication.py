"""What is published: group level and nothing of a participant, whatever files are called; no trace of the machine."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest
from repositories import make_repository, run

from provenance.publish.disclosure import unpack
from stages import STUDY

pytestmark = pytest.mark.slow
DATASET = "3575b42f-3c69-47d6-bbb8-8108063e2ba5"
NAME = "zq" + "janeroe"  # in parts: this file is published too
MAP = "outputs/regress/M1/lasso/weights_average.nii.gz"
TABLE = "outputs/regress/M1/lasso/predictions.tsv"
# A host's name of one's own where the kernel lets everybody have one.
HOST = "zq" + "node"
ON_A_HOST = ["unshare", "--map-root-user", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]
CAN_BE_A_HOST = shutil.which("unshare") and not subprocess.run([*ON_A_HOST, "true"], capture_output=True).returncode
LOGIN = "zq" + "login"


def publish(folder, to=None, check=True, **variables):
    options = [f"{key}={value}" for key, value in {"TO": to, **variables}.items() if value is not None]
    home = folder.parent / (LOGIN + "-home")
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(f"[user]\n\tname = {LOGIN}\n\temail = {LOGIN}@example.invalid\n")
    command = [*(ON_A_HOST if CAN_BE_A_HOST else []), "make", "publish", *options]
    return run(command, folder, check, HOME=str(home), LOGNAME=LOGIN, USER=LOGIN, GIT_AUTHOR_NAME=LOGIN).stdout


def refuse(folder, to=None, **variables):
    """Publish, see it fail without a traceback, and return what it said."""
    said = publish(folder, to, check=False, **variables)
    assert "make: *** [" in said and "Traceback" not in said, said
    return said


def commit(folder, message, *paths):
    run(["git", "add", *(paths or ["--all"])], folder)
    run(["git", "commit", "--quiet", "--message", message], folder)


def dataset(store):
    return store / DATASET[:3] / DATASET[3:]


def everything(store):
    """Yield name and bytes of every file of a store, unpacked, and of every git object in it."""
    for path in store.rglob("*"):
        yield str(path), str(path.relative_to(store)).encode()
        if path.is_file():
            yield from ((str(path), part) for part in unpack(path.read_bytes()))
    objects = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=dataset(store), capture_output=True, check=True
    )
    yield "git objects", objects.stdout


def assert_silent(store, *secrets):
    told = [secret.encode() for secret in (NAME, LOGIN, *([HOST] if CAN_BE_A_HOST else []), *map(str, secrets))]
    for name, content in everything(store):
        for seen in (content, content.replace(b"\0", b"")):
            assert not [secret for secret in told if secret in seen], name


def keys(store):
    return {path.name for path in dataset(store).glob("annex/objects/*/*/*/*") if path.is_file()}


def key_of(folder, path):
    return run(["git", "annex", "lookupkey", path], folder).stdout.strip()


def annexed_keys(folder):
    """Return the key of every annexed file of HEAD by its path."""
    found = run(["git", "annex", "find", "--anything", "--format=${file}\\t${key}\\n"], folder).stdout
    return dict(line.split("\t") for line in found.splitlines())


def head(folder, revision="HEAD"):
    return run(["git", "rev-parse", revision], folder).stdout.strip()


def clone_as_stranger(store, folder):
    run(["datalad", "clone", f"ria+file://{store}#{DATASET}", str(folder)], folder.parent)
    return folder


def get(folder, path):
    return run(["datalad", "get", path], folder, check=False).returncode == 0


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """This project with a handful of results, which nothing computed; tests must not change it."""
    folder = make_repository(tmp_path_factory.mktemp("small") / "study", design=None)
    run([sys.executable, "code/study.py", "setup"], folder)
    files = {
        "outputs/prep/trials.tsv": f"participant_id\tfacs\n{NAME}\t1\nsub-002\t3\n07\t2\n",
        TABLE: f"participant_id\ty_pred\n{NAME}\t1.5\n",
        "outputs/regress/M1/lasso/metrics.tsv": "fold\tr2\n1\t0.07\n",
        "outputs/regress/M1/lasso/inputs.json": "{}",
        "figures/report.html": "<p>07 of 20</p>",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / MAP).write_bytes(gzip.compress(b"a map"))
    run(["git", "annex", "add", "outputs", "figures"], folder)
    commit(folder, "Make results")
    return folder


@pytest.fixture
def repository(small, tmp_path):
    shutil.copytree(small, tmp_path / "study", symlinks=True)
    return tmp_path / "study"


@pytest.fixture
def planted(study):
    """The finished study with one participant under another name, wherever that participant is named."""
    for table in ("participants.tsv", "trials.tsv"):
        path = study / "inputs/behavior" / table
        path.write_text(path.read_text().replace("sub-002", NAME))
    identity = ("-c", "user.name=A tester", "-c", "user.email=tester@example.invalid")
    run(["git", *identity, "commit", "--quiet", "--all", "--message", "Name a participant"], study / "inputs/behavior")
    for path in annexed_keys(study):
        content = (study / path).read_bytes()
        if b"sub-002" in content:
            assert STUDY.is_private(path), path
            (study / path).unlink()
            (study / path).write_bytes(content.replace(b"sub-002", NAME.encode()))
    commit(study, "Have a participant of another name")
    return study


def hide_participants(study):
    """Commit files of participants under other names and in other forms; return their paths."""
    run(["git", "mv", TABLE, "outputs/regress/M1/lasso/table.tsv"], study)
    run(["git", "mv", "outputs/extract/M1/signals.npy", "outputs/regress/M1/lasso/weights_best.npy"], study)
    shutil.copy(study / "outputs/prep/trials.tsv", study / "figures/everybody.html")
    (study / "figures/packed.html").write_bytes(gzip.compress((study / "outputs/extract/M1/quality.tsv").read_bytes()))
    (study / "figures/hover.html").write_text(f"<p title='{NAME}'>a trial</p>")
    (study / "figures/unnamed.html").write_text('{"hovertemplate": "run %{x}, trial %{y}"}')
    np.savez(study / "outputs/regress/M1/lasso/who.npz", who=np.array([NAME, "somebody"]))
    header = bytearray(nibabel.AnalyzeHeader().binaryblock)
    header[302:312] = b"PATIENT-12"
    (study / "outputs/regress/M1/lasso/map.nii.gz").write_bytes(gzip.compress(bytes(header) + b"\0" * 8))
    files = ["everybody.html", "packed.html", "hover.html", "unnamed.html"]
    run(["git", "annex", "add", *(f"figures/{name}" for name in files)], study)
    commit(study, "Give other names")
    run(["git", "annex", "unlock", "figures/hover.html"], study)
    commit(study, "Unlock a page")
    return [
        *(f"figures/{name}" for name in files),
        *(f"outputs/regress/M1/lasso/{name}" for name in ("table.tsv", "weights_best.npy", "who.npz", "map.nii.gz")),
    ]


def test_group_level_goes_and_no_participant_does_whatever_comes_first(planted, tmp_path):
    public, safe = tmp_path / "public", tmp_path / "zqsafe"
    # A private sibling made and filled in the usual way knows all, and this clone's git-annex branch knows it.
    run(["git", "annex", "describe", "here", f"{LOGIN}@{HOST}:{planted}"], planted)
    run(["datalad", "create-sibling-ria", "-s", "safe", "--new-store-ok", f"ria+file://{safe}"], planted)
    run(["datalad", "push", "--to", "safe"], planted)
    hidden = hide_participants(planted)
    said = publish(planted, f"ria+file://{public}")
    assert "goes: outputs/regress/M1/lasso, 13 file(s)" in said
    for path in hidden:
        assert f"stays: {path}, participant-level: it " in said, path
    annexed = annexed_keys(planted)
    arrived = keys(public)
    expected = {key for path, key in annexed.items() if not STUDY.is_private(path) and path not in hidden}
    assert MAP in annexed and arrived == expected
    assert_silent(public, safe, planted)
    authors = run(["git", "log", "--format=%an <%ae> %cn", "git-annex"], dataset(public)).stdout.splitlines()
    assert set(authors) == {"The face of pain <face-of-pain@example.invalid> The face of pain"}

    stranger = clone_as_stranger(public, tmp_path / "stranger")
    assert get(stranger, MAP) and (stranger / MAP).read_bytes() == (planted / MAP).read_bytes()
    kept = (*hidden, "outputs/prep/trials.tsv", "outputs/participants/scores.svg")
    assert not any(get(stranger, path) for path in kept)

    # What an ordinary push would send does not go, even where git-annex knows the store by now.
    run(["git", "fetch", "--quiet", "public"], planted)
    assert ".: public(-)" in run(["datalad", "siblings"], planted).stdout
    tips = run(["git", "for-each-ref"], dataset(public)).stdout
    for command in ("git push public main", "datalad push --to public", "datalad push --to public --data anything"):
        done = run(command.split(), planted, check=False)
        assert done.returncode != 0 and "make publish with TO set to public" in done.stdout, command
    assert (keys(public), run(["git", "for-each-ref"], dataset(public)).stdout) == (arrived, tips)

    # An update, now with the private store, both by name.
    (planted / MAP).unlink()
    (planted / MAP).write_bytes(gzip.compress(b"another map"))
    commit(planted, "Change a result")
    publish(planted, "public", PRIVATE="safe")
    assert keys(public) == arrived | {key_of(planted, MAP)}
    assert set(annexed.values()) <= keys(safe)
    assert_silent(public, safe, planted)
    run(["datalad", "update", "--how", "ff-only"], stranger)
    for clone in (stranger, clone_as_stranger(public, tmp_path / "another")):
        assert get(clone, MAP) and (clone / MAP).read_bytes() == (planted / MAP).read_bytes()
        assert not get(clone, hidden[0])
    assert get(clone_as_stranger(safe, tmp_path / "colleague"), "outputs/prep/trials.tsv")
    assert f"{safe} is a private store" in refuse(planted, "safe")
    assert f"{public} is a public store" in refuse(planted, f"{tmp_path}/new", PRIVATE="public")


def test_the_private_store_first_and_any_folder_for_both(repository, tmp_path):
    """To take a filled store for a public one stops, with or without a mark on it."""
    run(["datalad", "create-sibling-ria", "-s", "mine", "--new-store-ok", f"ria+file://{tmp_path}/mine"], repository)
    run(["datalad", "push", "--to", "mine"], repository)
    said = refuse(repository, "mine")
    assert "the store holds an object that is participant-level, it is outputs/prep/trials.tsv: remove " in said
    publish(repository, f"{tmp_path}/public", PRIVATE=f"{tmp_path}/safe")
    assert key_of(repository, TABLE) in keys(tmp_path / "safe")
    assert keys(tmp_path / "public") == {key_of(repository, MAP), key_of(repository, "figures/report.html")}
    assert "is a private store" in refuse(repository, "private")
    assert_silent(tmp_path / "public", tmp_path / "safe", tmp_path / "mine", repository)
    # Places that this clone knows are private even where PRIVATE= does not name them.
    (repository / "NOTES.md").write_text(f"All of it: {tmp_path}/mine, {tmp_path}/safe.")
    commit(repository, "Add a note")
    assert f"private place ({tmp_path}/mine)" in refuse(repository, "public")
    (repository / "NOTES.md").write_text(f"All of it: {tmp_path}/safe.")
    run(["git", "commit", "--quiet", "--all", "--amend", "--no-edit"], repository)
    assert f"private place ({tmp_path}/safe)" in refuse(repository, "public")


def test_a_sibling_of_ones_own_is_published_to_and_then_guarded(repository, tmp_path):
    mine = tmp_path / "mine"
    run(["datalad", "create-sibling-ria", "-s", "mine", "--new-store-ok", f"ria+file://{mine}"], repository)
    publish(repository, "mine")
    arrived = keys(mine)
    assert arrived == {key_of(repository, MAP), key_of(repository, "figures/report.html")}
    for command in ("git push mine", "datalad push --to mine", "git annex copy --to mine-storage outputs"):
        assert run(command.split(), repository, check=False).returncode != 0, command
    assert keys(mine) == arrived
    stranger = clone_as_stranger(mine, tmp_path / "stranger")
    assert get(stranger, MAP) and not get(stranger, TABLE)
    # By address it is the same sibling; another store gets the next free name, a remote called public stays.
    run(["git", "remote", "add", "public", "https://example.org/study.git"], repository)
    assert "public: sibling mine, datalad clone" in publish(repository, f"ria+file://{mine}")
    assert "public: sibling public-2, " in publish(repository, f"{tmp_path}/other")
    assert run(["git", "remote", "get-url", "public"], repository).stdout.strip() == "https://example.org/study.git"
    assert "public is at https://example.org/study.git; expected a RIA store" in refuse(repository, "public")
    # A store that was moved is the same store.
    mine.rename(tmp_path / "moved")
    publish(repository, f"{tmp_path}/moved")
    assert get(clone_as_stranger(tmp_path / "moved", tmp_path / "later"), MAP)


def test_what_breaks_the_rule_in_history_stops_before_anything_is_sent(repository, tmp_path):
    store, safe = tmp_path / "public", tmp_path / "zqsafe"
    header = bytearray(nibabel.AnalyzeHeader().binaryblock)
    header[302:306] = b"J.D."
    trials = (repository / "outputs/prep/trials.tsv").read_text()
    breaches = {
        "outputs/extract/M1/notes.txt": ("in git", "outputs/extract/M1/notes.txt is participant-level and lies in git"),
        "docs/t.tsv": (trials, "docs/t.tsv lies in git, and it is outputs/prep/trials.tsv under another name"),
        "code/t.gz": (gzip.compress(trials.encode()), "code/t.gz lies in git, and it is outputs/prep/trials.tsv"),
        "outputs/who.tsv": (f"best\n{NAME}\n", f"outputs/who.tsv lies in git, and it names {NAME}"),
        "outputs/ids.tsv": ("participant_id\n1\n", "outputs/ids.tsv lies in git, and it names participants in a "),
        "docs/thanks.md": (f"To {NAME}.", f"docs/thanks.md lies in git, and it names {NAME}"),
        "figures/who.svg": ("<text>sub-002</text>", "figures/who.svg lies in git, and it names sub-002"),
        "figures/x.json": ('"run %{x}, trial %{y}"', "figures/x.json lies in git, and it shows single trials under"),
        "outputs/m.hdr": (bytes(header), 'outputs/m.hdr lies in git, and it names the patient "J.D."'),
        f"figures/{NAME}.html": ("<p>", f"figures/{NAME}.html names a participant in its path ({NAME})"),
        "outputs/place.json": (f'"{repository}"', "outputs/place.json lies in git, and it tells of this machine"),
        "outputs/run.json": (f'"by {LOGIN}"', f"it tells of this machine or a private place ({LOGIN})"),
        "code/safe.py": (f'"{safe}"', f"it tells of this machine or a private place ({safe})"),
        ".gitmodules": ("\turl = ssh://zqlab/data\n", ".gitmodules tells where private inputs lie (ssh://zqlab/data)"),
        ".datalad/config": ("\t# ria+ssh://zqlab/data\n", ".datalad/config tells where private inputs lie (ria+ssh://"),
        "outputs/sub-777.npy": ("", "outputs/sub-777.npy names a participant in its path (sub-777)"),
        "CHANGES.md": ("\turl = /zq/data\n", None),  # that of nothing
    }
    start = head(repository)
    for path, (content, _) in breaches.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        run(["git", "-c", "annex.largefiles=nothing", "add", "--force", path], repository)
    commit(repository, f"Keep all in {safe}", *breaches)
    # To remove them again is not enough: history travels.
    run(["git", "rm", "--quiet", *breaches], repository)
    run(["git", "checkout", start, "--", ".datalad/config", ".gitmodules", "CHANGES.md"], repository)
    commit(repository, f"Remove what {NAME} did")
    said = refuse(repository, f"ria+file://{store}", PRIVATE=str(safe))
    for path, (_, expected) in breaches.items():
        assert expected is None or f"BREAKS THE RULE: {expected}" in said or f", and {expected}" in said, (path, said)
    assert "CHANGES.md" not in said
    assert f"BREAKS THE RULE: a commit's message or author tells of this machine or a private place ({safe})" in said
    assert f"BREAKS THE RULE: a commit's message names a participant ({NAME})" in said
    assert "nothing was sent" in said and not store.exists() and not safe.exists()
    assert run(["git", "remote"], repository).stdout == ""
    run(["git", "reset", "--quiet", "--hard", start], repository)
    publish(repository, f"ria+file://{store}", PRIVATE=str(safe))


def test_what_cannot_be_published_is_one_line(repository, small, tmp_path):
    store = tmp_path / "public"
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter").write_text("")
    said = {
        None: "TO= is missing; name the public store",
        "ssh://host/store": "TO=ssh://host/store is no store on this disk; expected ria+file://",
        "host:store": "TO=host:store is no store on this disk",
        "public": "TO=public is no sibling of this clone; expected ria+file:// and a folder",
        f"{tmp_path}/file/store": f"TO={tmp_path}/file/store: {tmp_path}/file is no folder that can be written to",
        f"{tmp_path}/full": "the folder holds other things; expected a RIA store",
        f"{repository}/store": "lies in this repository; name a folder outside of it",
    }
    for to, expected in said.items():
        assert expected in refuse(repository, to), to
    for private in (f"{store}/within", store):
        assert "TO and PRIVATE are the same store or lie in one another" in refuse(repository, store, PRIVATE=private)
    (tmp_path / "link").symlink_to(store)
    assert "TO and PRIVATE are the same store" in refuse(repository, store, PRIVATE=tmp_path / "link")
    (repository / "new").write_text("")
    assert "1 file(s) differ from the last commit: new" in refuse(repository, store)
    (repository / "new").unlink()
    run(["git", "clone", "--quiet", "--depth", "1", f"file://{small}", str(tmp_path / "shallow")], tmp_path)
    assert "this clone is shallow" in refuse(tmp_path / "shallow", store)
    content = (repository / MAP).resolve()
    os.chmod(content.parent, 0o755)
    os.chmod(content, 0o644)
    content.write_bytes(b"broken")
    assert f"{MAP}: its content does not fit its checksum" in refuse(repository, store)
    assert not store.exists()


def test_a_store_that_holds_what_it_must_not_is_left_as_it_is(repository, tmp_path):
    store = tmp_path / "public"
    publish(repository, f"ria+file://{store}")
    there = dataset(store)
    smuggled = {
        key_of(repository, TABLE): (b"of a participant", f"participant-level, it is {TABLE}: remove "),
        "SHA256E-s9--0.tsv": (f"{NAME} 1".encode(), f"participant-level, it names {NAME}: remove "),
    }
    for key, (content, _) in smuggled.items():
        (there / "annex/objects/aa/bb" / key).mkdir(parents=True)
        (there / "annex/objects/aa/bb" / key / key).write_bytes(content)
    (there / "archives").mkdir(exist_ok=True)
    (there / "archives/archive.7z").write_bytes(b"7z")
    run(["git", "branch", "drafts", "main"], there)
    (repository / "NOTES.md").write_text("More.")
    commit(repository, "Add a note")
    before = head(there, "main")
    said = refuse(repository, "public")
    for _, expected in smuggled.values():
        assert expected in said
    assert "the store holds an archive, into which nobody looks" in said
    assert "the store holds refs/heads/drafts, which nobody looked at" in said
    assert head(there, "main") == before
    shutil.rmtree(there / "annex/objects/aa/bb")
    (there / "archives/archive.7z").unlink()
    run(["git", "branch", "-D", "drafts"], there)
    publish(repository, "public")
    # What another clone published is merged first, not overwritten.
    run(["git", "reset", "--quiet", "--hard", "HEAD~1"], repository)
    assert "holds commits that this branch does not" in refuse(repository, "public")


def test_what_was_removed_from_a_store_has_to_be_gone(repository, tmp_path):
    store = tmp_path / "public"
    publish(repository, f"ria+file://{store}")
    run(["git", "checkout", "--quiet", "-b", "drafts"], repository)
    (repository / "drafts.txt").write_bytes((repository / "outputs/prep/trials.tsv").read_bytes())
    run(["git", "-c", "annex.largefiles=nothing", "add", "--force", "drafts.txt"], repository)
    commit(repository, "Keep a draft", "drafts.txt")
    run(["git", "push", "--quiet", str(dataset(store)), "drafts"], repository)
    run(["git", "checkout", "--quiet", "main"], repository)
    run(["git", "branch", "-D", "drafts"], dataset(store))
    said = refuse(repository, "public")
    assert "objects of a participant that no branch leads to: remove them, `git --git-dir=" in said
    run(["git", "gc", "--quiet", "--prune=now"], dataset(store))
    # What a transfer left half-way is looked at too.
    left = dataset(store) / "ora-remote-1/transfer" / key_of(repository, TABLE)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert f"participant-level, it is {TABLE}: remove {left.parent}" in refuse(repository, "public")
    shutil.rmtree(left.parent)
    publish(repository, "public")


def test_a_store_below_ones_home_is_known_however_it_is_written(repository, tmp_path):
    """Relative, and with a space, which git-annex writes as its number."""
    (tmp_path / (LOGIN + "-home")).mkdir()
    for _ in range(2):
        said = publish(repository, f"../{LOGIN}-home/my results")
    assert "note: the public store's own address is published with it" in said
    store = tmp_path / (LOGIN + "-home") / "my results"
    assert "/../" not in run(["git", "show", "git-annex:remote.log"], dataset(store)).stdout


def test_a_private_place_that_begins_like_the_public_one_is_known(repository, tmp_path):
    publish(repository, f"{tmp_path}/results", PRIVATE="../results-safe")
    run(["git", "commit", "--quiet", "--allow-empty", "--message", f"All is in {tmp_path}/results-safe."], repository)
    assert f"tells of this machine or a private place ({tmp_path}/results-safe)" in refuse(repository, "public")


def test_an_input_under_another_name_and_a_name_in_a_key_are_seen(repository, tmp_path):
    inputs = repository / "inputs/contrasts"
    run(["git", "init", "--quiet", str(inputs)], repository)
    (inputs / "image.img").write_bytes(b"an image of somebody")
    run(["git", "add", "image.img"], inputs)
    run(["git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--message", "x"], inputs)
    with open(repository / ".git/info/exclude", "a") as file:
        file.write("inputs/\n")
    (repository / "outputs/regress/M1/typical.npy").write_bytes(b"an image of somebody")
    run(["git", "annex", "add", "outputs"], repository)
    commit(repository, "Keep a typical image", "outputs")
    said = publish(repository, f"{tmp_path}/public")
    assert "participant-level: it is inputs/contrasts/image.img under another name" in said
    assert key_of(repository, "outputs/regress/M1/typical.npy") not in keys(tmp_path / "public")
    (repository / f"{NAME}.npy").write_bytes(b"mean")
    run(["git", "annex", "add", "--force-large", "--backend=WORM", f"{NAME}.npy"], repository)
    run(["git", "mv", f"{NAME}.npy", "outputs/mean.npy"], repository)
    commit(repository, "Keep a mean", "outputs")
    assert f"outputs/mean.npy is a link to a key that names a participant ({NAME})" in refuse(repository, "public")


def rewrite_annex_branch(store, name, old, new):
    """Change a line of a file of the store's git-annex branch, as a hostile or careless push would."""
    there, clone = dataset(store), store.parent / "annex-branch"
    run(["git", "clone", "--quiet", "--branch", "git-annex", str(there), str(clone)], store.parent)
    path = clone / name
    path.write_text(old.sub(new, path.read_text()) if old else path.read_text() + new)
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    run(["git", *identity, "commit", "--quiet", "--all", "--message", "update"], clone)
    run(["git", "push", "--quiet", "origin", "git-annex"], clone)
    shutil.rmtree(clone)


def test_places_that_a_store_knows_are_neither_followed_nor_spread(repository, tmp_path):
    store, elsewhere = tmp_path / "public", tmp_path / "elsewhere"
    publish(repository, f"ria+file://{store}")
    elsewhere.mkdir()
    other = "11111111-2222-3333-4444-555555555555"
    line = f"{other} autoenable=true encryption=none name=trap type=directory directory={elsewhere}"
    rewrite_annex_branch(store, "remote.log", None, f"{line} timestamp=1700000000s\n")
    (repository / "NOTES.md").write_text("More.")
    commit(repository, "Add a note")
    publish(repository, "public", PRIVATE=str(tmp_path / "safe"))
    assert list(elsewhere.iterdir()) == []
    assert other not in run(["git", "show", "git-annex:remote.log"], dataset(tmp_path / "safe")).stdout
    assert "trap" not in (repository / ".git/config").read_text()
    # The private store's address in the public store's branch stops what comes after it.
    rewrite_annex_branch(store, "uuid.log", None, f"{other} {tmp_path}/safe timestamp=1700000000s\n")
    said = refuse(repository, "public")
    assert f"the store's git-annex branch tells of this machine or a private place ({tmp_path}/safe)" in said


ELSEWHERE = {
    "another kind": ("archive-id=.*", "name=public-storage type=directory directory={} timestamp=2000000000s"),
    "another way in": ("timestamp=.*", "push-url=ria+file://{} timestamp=2000000000s"),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_a_store_that_leads_elsewhere_is_not_sent_to(repository, tmp_path, kind):
    store, elsewhere = tmp_path / "public", tmp_path / "elsewhere"
    publish(repository, f"ria+file://{store}")
    shutil.copytree(store, elsewhere)
    pattern, told = ELSEWHERE[kind]
    rewrite_annex_branch(store, "remote.log", re.compile(pattern), told.format(elsewhere))
    (repository / "figures/new.html").write_text("<p>new</p>")
    commit(repository, "Add a page")
    before = keys(store), head(dataset(store), "main"), keys(elsewhere)
    assert "content for this store would go to another place than this folder" in refuse(repository, "public")
    assert (keys(store), head(dataset(store), "main"), keys(elsewhere)) == before


def kill_when(folder, to, reached):
    """Start a publication and kill all of it as soon as something is there; tell whether it was still at work."""
    command = ["make", "publish", f"TO=ria+file://{to}"]
    environment = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    while process.poll() is None and not reached():
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    return process.wait() != 0


@pytest.mark.parametrize("what", ["scratch clone", "store", "object", "history"])
def test_after_an_interruption_the_same_command_goes_on(repository, tmp_path, what):
    store = tmp_path / "public"
    reached = {
        "scratch clone": lambda: any((repository / ".git/facepain").glob("publishing/*/clone/.git/annex")),
        "store": lambda: (dataset(store) / "config").exists(),
        "object": lambda: bool(keys(store)),
        "history": lambda: (dataset(store) / "refs/heads/main").exists(),
    }[what]
    assert kill_when(repository, store, reached)
    # What a kill leaves at a worse moment, which no test can wait for.
    if what == "store":
        (dataset(store) / "HEAD").unlink(missing_ok=True)
    if what == "history":
        (dataset(store) / "refs/heads/git-annex.lock").touch()
    publish(repository, f"ria+file://{store}")
    assert list((repository / ".git/facepain/publishing").iterdir()) == []
    assert keys(store) == {key_of(repository, MAP), key_of(repository, "figures/report.html")}
    stranger = clone_as_stranger(store, tmp_path / "stranger")
    assert get(stranger, MAP) and not get(stranger, TABLE)
    assert_silent(store, repository)


def test_a_plain_clone_publishes_what_it_has(repository, tmp_path):
    run(["git", "mv", TABLE, "outputs/regress/M1/lasso/table.tsv"], repository)
    commit(repository, "Give another name")
    clone = tmp_path / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(repository), str(clone)], tmp_path)
    run(["git", "remote", "remove", "origin"], clone)
    said = publish(clone, tmp_path / "public")
    assert "not here: outputs/regress/M1/lasso, 2 file(s)" in said
    assert "the participants' ids are not known here" in said
    assert not keys(tmp_path / "public")
    stranger = clone_as_stranger(tmp_path / "public", tmp_path / "stranger")
    assert (stranger / "outputs/regress/M1/lasso/metrics.tsv").read_text().startswith("fold")
    assert not get(stranger, MAP)
    # Made again under its new name, in a clone where it never was under the old one, it is known by its past.
    for path in ("outputs/regress/M1/lasso/table.tsv", MAP):
        copy = tmp_path / os.path.basename(path)
        shutil.copyfile(repository / path, copy)
        run(["git", "annex", "reinject", str(copy), path], clone)
    said = publish(clone, "public")
    assert f"stays: outputs/regress/M1/lasso/table.tsv, participant-level: it is {TABLE} under another name" in said
    assert keys(tmp_path / "public") == {key_of(clone, MAP)}
    assert_silent(tmp_path / "public", repository, clone)


def test_a_study_of_ones_own_stops_and_goes_without_its_past(repository, tmp_path):
    """Inputs by private address are named in the history of their branch, so that a new one has to begin without it."""
    data = tmp_path / "data"
    run(["datalad", "create", str(data)], tmp_path, **IDENTITY)
    (data / "trials.tsv").write_text("participant_id\tfacs\nwho\t1\n")
    run(["datalad", "save", "-d", str(data)], tmp_path, **IDENTITY)
    (repository / "inputs").mkdir()
    run(["make", "own", f"CONTRASTS={data}", f"BEHAVIOR={data}"], repository)
    (repository / "outputs").mkdir(exist_ok=True)
    (repository / "outputs/metrics.tsv").write_text("fold\tr2\n1\t0.07\n")
    commit(repository, "Make a result")
    store = tmp_path / "public"
    assert "this branch holds PRIVATE.md" in refuse(repository, store)
    run(["git", "rm", "--quiet", "PRIVATE.md"], repository)
    commit(repository, "All may be seen")
    assert f"BREAKS THE RULE: .gitmodules tells where private inputs lie ({data})" in refuse(repository, store)
    assert not store.exists()
    # As docs/publishing.md says.
    run(["git", "checkout", "--quiet", "--orphan", "public-study"], repository)
    for name in ("contrasts", "behavior"):
        run(["git", "config", "-f", ".gitmodules", f"submodule.inputs/{name}.url", f"./inputs/{name}"], repository)
    commit(repository, "Publish my study")
    publish(repository, store)
    assert_silent(store, data)


IDENTITY = {f"GIT_{role}_{part}": "x@y" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
