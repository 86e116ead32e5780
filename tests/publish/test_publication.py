"""What strangers receive: what is declared, in a history made for it, and of participants and places nothing."""

import gzip
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from planted_names import FORMS
from repositories import SMALL, run

from provenance.publish import store as stores
from provenance.publish.contents import read_texts, unpack
from stages import STUDY

pytestmark = pytest.mark.slow
DATASET = "3575b42f-3c69-47d6-bbb8-8108063e2ba5"
NAME, ACCENTED, EXCLUDED = "zq" + "janeroe", "Zoë-" + "Jürgens", "zq" + "olga"  # in parts: this file is published too
PLAIN = "zoe-" + "jurgens"
MAP = "outputs/regress/M1/lasso/weights_average.nii.gz"
# A host's name of one's own where the kernel lets everybody have one.
HOST = "zq" + "node"
ON_A_HOST = ["unshare", "--map-root-user", "--uts", "sh", "-c", f'hostname {HOST} && exec "$@"', "sh"]
CAN_BE_A_HOST = shutil.which("unshare") and not subprocess.run([*ON_A_HOST, "true"], capture_output=True).returncode
LOGIN = "zq" + "login"
NEUTRAL = "The face of pain <face-of-pain@example.invalid>"


def publish(folder, to=None, check=True, yes="1", **variables):
    options = [f"{key}={value}" for key, value in {"TO": to, "YES": yes, **variables}.items() if value is not None]
    home = folder.parent / (LOGIN + "-home")
    home.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text(f"[user]\n\tname = {LOGIN}\n\temail = {LOGIN}@example.invalid\n")
    command = [*(ON_A_HOST if CAN_BE_A_HOST else []), "make", "publish", *options]
    mine = {"HOME": str(home), "LOGNAME": LOGIN, "USER": LOGIN, "GIT_AUTHOR_NAME": LOGIN}
    return run(command, folder, check, **SMALL, **mine).stdout


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


def keys(store):
    return {path.name for path in dataset(store).glob("annex/objects/*/*/*/*") if path.is_file()}


def published(store):
    """Return the paths of everything on the store's main."""
    return set(run(["git", "ls-tree", "-r", "--name-only", "main"], dataset(store)).stdout.splitlines())


def subjects(store):
    return run(["git", "log", "--reverse", "--format=%s", "main"], dataset(store)).stdout.splitlines()


def head(folder, revision="HEAD"):
    return run(["git", "rev-parse", revision], folder).stdout.strip()


def private_keys(lab):
    """Return the keys of all participant-level files that are annexed, but for content that groups' files have too."""
    listed = run(["git", "ls-files", "outputs", "figures"], lab).stdout.splitlines()
    annexed = {path: os.path.basename(os.readlink(lab / path)) for path in listed if (lab / path).is_symlink()}
    shared = {key for path, key in annexed.items() if not STUDY.is_private(path)}
    return set(annexed.values()) - shared


def clone_as_stranger(store, folder):
    run(["datalad", "clone", f"ria+file://{store}#{DATASET}", str(folder)], folder.parent)
    return folder


def get(folder, path):
    return run(["datalad", "get", path], folder, check=False).returncode == 0


def objects_of(repository):
    """Return the contents of all git objects by id, however packed."""
    batch = ["git", "cat-file", "--batch", "--batch-all-objects"]
    given = subprocess.run(batch, cwd=repository, capture_output=True, check=True).stdout
    contents, position = {}, 0
    while position < len(given):
        end = given.index(b"\n", position)
        id_, _, size = given[position:end].decode().split()
        contents[id_] = given[end + 1 : end + 1 + int(size)]
        position = end + 2 + int(size)
    return contents


SILENT = set()  # contents that were searched already, with what for


def assert_silent(store, lab, *places):
    """Search every byte of a store, however packed, for names, places and checksums of participant-level files."""
    secrets = {NAME, EXCLUDED, PLAIN, LOGIN, str(lab), "zq" + "secret", *map(str, places)}
    secrets |= {HOST} if CAN_BE_A_HOST else set()
    secrets |= {key.split("--")[1][:64] for key in private_keys(lab)}
    files = [path for path in store.rglob("*") if path.is_file() and "objects/pack" not in str(path)]
    contents = {str(path.relative_to(store)): path.read_bytes() for path in files}
    for name, content in {**contents, **objects_of(dataset(store))}.items():
        texts = [name.lower()]
        if (search := (hash(content), *sorted(secrets))) not in SILENT:
            texts += [text for text, _ in read_texts(content)]
            texts += [part.decode("latin-1").lower() for part in unpack(content)]
        found = {secret for secret in secrets for text in texts if secret.lower() in text}
        assert not found, (name, found)
        SILENT.add(search)


@pytest.fixture
def results(study):
    """The finished study without its figures, which take most of the time of a publication to search."""
    run(["git", "rm", "-r", "--quiet", "figures"], study)
    run(["git", "commit", "--quiet", "--message", "Leave the figures out"], study)
    return study


@pytest.fixture
def lab(results):
    """The same, with a participant of another study known from a table that was put aside."""
    aside = results / ".git/facepain/datasets/other"
    aside.mkdir(parents=True)
    table = f"participant_id\texcluded\n{NAME}\t\n{ACCENTED}\t\n{EXCLUDED}\tmotion\n"
    (aside / "scores.tsv").write_text(table, encoding="utf-8")
    run(["git", "init", "--quiet"], aside)
    commit_as = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    run(["git", "add", "scores.tsv"], aside)
    run([*commit_as, "commit", "--quiet", "--message", "x"], aside)
    return results


def fake_result(lab, cell, name, content):
    """Add a file to a result in a commit with that result's run record, as if its run had made it."""
    folder = lab / "outputs" / cell
    message = run(["git", "log", "-1", "--format=%B", "--", f"outputs/{cell}"], lab).stdout
    (folder / name).write_bytes(content)
    commit(lab, message, f"outputs/{cell}")


def hide_names(lab, safe):
    """Leave names and participants' content wherever a repository has room for them."""
    trials = (lab / "outputs/prep/trials.tsv").read_bytes()
    files = {
        "NOTES.md": NAME,
        "docs/thanks.md": f"To {ACCENTED}.",
        "docs/table.tsv": trials.decode(),
        "outputs/extra/everybody.html": trials.decode(),
        "outputs/extra/mean." + NAME: "mean",
        "outputs/participants/note.md": "zq" + "secret",
        f"code/{EXCLUDED}.py": "",
        ".gitattributes": (lab / ".gitattributes").read_text() + f"# {NAME}\n",
        "docs/mine.md": "What else is to be said.\n",
        "docs/spelt.md": "".join(f"&#{ord(letter)};" for letter in ACCENTED),
        "docs/old.md": "One\n",
    }
    for path, text in files.items():
        (lab / path).parent.mkdir(parents=True, exist_ok=True)
        (lab / path).write_text(text)
    for form, write in FORMS.items():
        (lab / f"docs/{form}").write_bytes(write(ACCENTED))
    (lab / f"inputs/{NAME}").mkdir()
    link = f"160000,{head(lab, 'HEAD:inputs/masks')},inputs/{NAME}"
    run(["git", "update-index", "--add", "--cacheinfo", link], lab)
    run(["git", "annex", "add", "--quiet", "--force-large", "--backend=WORM", "outputs/extra/mean." + NAME], lab)
    run(["git", "annex", "add", "--quiet", "--force-large", "outputs/extra"], lab)
    commit(lab, f"Keep what {NAME} said, see {safe}")
    run(["git", "mv", "outputs/extra/mean." + NAME, "outputs/extra/mean.npy"], lab)
    named = ("docs/mine.md", "docs/spelt.md", "outputs/extra/mean.npy", "outputs/extra/everybody.html")
    named += tuple(f"docs/{form}" for form in FORMS)
    lines = [f'"{path}" = "{head(lab, f":{path}")}"' for path in named] + [f'"docs/old.md" = "{"0" * 40}"']
    (lab / "code/publish.toml").write_text("[files]\n" + "\n".join(lines) + "\n")
    commit(lab, "Name files")
    run(["git", "commit", "--quiet", "--allow-empty", "--message", NAME], lab)
    run(["git", "tag", "-a", "-m", NAME, NAME], lab)
    run(["git", "branch", NAME], lab)
    run(["git", "notes", "add", "-m", NAME], lab)
    (lab / "README.md").write_text(NAME)
    run(["git", "stash", "push", "--quiet", "-m", NAME], lab)
    other = run(["git", "hash-object", "-w", "NOTES.md"], lab).stdout.strip()
    run(["git", "replace", head(lab, "HEAD:README.md"), other], lab)
    run(["git", "annex", "describe", "here", f"{LOGIN}@{HOST}:{lab}"], lab)
    run(["git", "remote", "add", "elsewhere", "ssh://zq" + "secret/study"], lab)


FAKED = {
    "regress/M1/lasso": ("note.md", NAME.encode("utf-16")),
    "regress/M1/ridge": ("who.npz", gzip.compress(ACCENTED.encode("latin-1"))),
    "regress/M1/svr": ("new.json", json.dumps({"by": ACCENTED}).encode()),
    "tune/M1/ridge": ("a.svg", f"<text>{NAME[:3]}&#x{ord(NAME[3]):x};{NAME[4:]}</text>".encode()),
    "similarity/M1/lasso": (EXCLUDED + ".tsv", b"a\n1\n"),
    "compare": ("picture.pdf", b"%PDF"),
}


def test_what_is_declared_goes_and_nothing_else_in_whatever_order(lab, tmp_path):
    public, safe = tmp_path / "public", tmp_path / "zqsafe"
    run(["datalad", "create-sibling-ria", "-s", "safe", "--new-store-ok", f"ria+file://{safe}"], lab)
    run(["datalad", "push", "--to", "safe"], lab)
    hide_names(lab, safe)
    for cell, (name, content) in FAKED.items():
        fake_result(lab, cell, name, content)
    before = refuse(lab, f"ria+file://{public}", yes=None)
    assert "nothing was sent; YES=1 agrees to the list above" in before and not public.exists()
    said = publish(lab, f"ria+file://{public}")
    table = (lab / ".git/facepain/publication.tsv").read_text()
    for path in ("NOTES.md", "docs/thanks.md", "docs/table.tsv", f"code/{EXCLUDED}.py"):
        assert f"\n{path}\tno\tnot declared\n" in table, path
    assert "\n.gitattributes\tno\tchanged; to let it go, add below [files] in code/publish.toml: " in table
    for path in ("docs/spelt.md", *(f"docs/{form}" for form in FORMS)):
        assert f"\n{path}\tno\tit names {PLAIN}\n" in table, path
    assert f"\ninputs/{NAME}\tno\ta dataset that no result in this list reads\n" in table
    assert "\ndocs/old.md\tno\tanother content than the one that code/publish.toml names: " in table
    assert "\noutputs/extra/everybody.html\tno\tit " in table
    assert "\noutputs/extra/mean.npy\tno\tits key " in table
    for cell in FAKED:
        assert f"\n{cell.replace('/', ' ')}\tno\toutputs/{cell}/" in table, cell
    assert "docs/mine.md, which code/publish.toml names:\n    | What else is to be said.\n" in said
    gone = published(public)
    assert {
        "docs/mine.md",
        "README.md",
        "code/stages.py",
        "code/manifest.tsv",
        MAP.replace("M1", "whole-brain"),
    } <= gone
    assert not [
        path
        for path in gone
        if STUDY.is_private(path) or path.startswith((*(f"outputs/{cell}" for cell in FAKED), "outputs/extra/"))
    ]
    assert ".gitattributes" not in gone and "code/publish.toml" not in gone
    assert_silent(public, lab, safe)

    # Second, after renames: of files, and of a participant's file to a declared name.
    run(["git", "mv", "docs/mine.md", "docs/ours.md"], lab)
    named = (lab / "code/publish.toml").read_text()
    (lab / "code/publish.toml").write_text(re.sub('"docs/mine.md".*\n', "", named))
    run(["git", "rm", "--quiet", "--cached", "README.md"], lab)
    (lab / "README.md").write_bytes((lab / "outputs/prep/trials.tsv").read_bytes())
    commit(lab, "Rename")
    publish(lab, "public")
    assert "docs/mine.md" not in published(public) and "docs/ours.md" not in published(public)
    assert subjects(public)[-1] == "Publish code and documents"
    # From a clone, where the branch of the other is a remote one, and with the private store.
    clone = tmp_path / "clone"
    run(["datalad", "clone", str(lab), str(clone)], tmp_path, **IDENTITY)
    # What a clone does not know it cannot find: names come from the tables that are here.
    shutil.copytree(lab / ".git/facepain/datasets", clone / ".git/facepain/datasets", symlinks=True)
    said = publish(clone, f"ria+file://{public}", PRIVATE=f"ria+file://{tmp_path}/zqsafe-2")
    assert "nothing new" in said
    assert_silent(public, lab, safe, tmp_path / "zqsafe-2")
    stranger = clone_as_stranger(public, tmp_path / "stranger")
    assert get(stranger, MAP.replace("M1", "whole-brain"))
    authors = run(["git", "log", "--all", "--format=%an <%ae>%n%cn <%ce>"], dataset(public)).stdout.splitlines()
    assert set(authors) == {NEUTRAL}
    assert run(["git", "for-each-ref", "--format=%(refname)"], dataset(public)).stdout.split() == [
        "refs/heads/git-annex",
        "refs/heads/main",
    ]

    # What an ordinary push would send does not go from here. From elsewhere it can, and stops what comes after it.
    for command in ("git push public main", "datalad push --to public", "git annex copy --to public-storage outputs"):
        assert run(command.split(), lab, check=False).returncode != 0, command
    run(["git", "push", "--quiet", str(dataset(public)), "HEAD:refs/heads/drafts"], lab)
    assert "the store holds what no publication put there: refs/heads/drafts, a branch or tag" in refuse(lab, "public")
    run(["git", "branch", "-D", "drafts"], dataset(public))
    publish(lab, "public")
    assert_silent(public, lab, safe)  # what no branch leads to is gone
    run(["git", "push", "--quiet", "--force", str(dataset(public)), "HEAD:refs/heads/main"], lab)
    assert "holds a history that `make publish` did not make" in refuse(lab, "public")
    assert "holds a history that `make publish` did not make" in refuse(lab, "safe")
    # The private store has everything.
    assert get(clone_as_stranger(safe, tmp_path / "colleague"), "outputs/prep/trials.tsv")


IDENTITY = {f"GIT_{role}_{part}": "x@y" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def test_the_synthetic_study_goes_as_it_is_and_strangers_can_work_with_it(study, tmp_path):
    store = tmp_path / "public"
    (study / "my-notes.md").write_text("mine")
    commit(study, "Add notes")
    (study / "to-do.md").write_text("not committed")
    named = study / "code/publish.toml"
    named.write_text("[files]")
    assert "code/publish.toml; commit" in publish(study, store, check=False)
    named.unlink()
    said = publish(study, store)
    assert "my-notes.md: not declared" in said and "to-do.md" not in said
    # nilearn's view of a surface brings words of its own.
    foreign = re.findall("texts in these results that are not in the code: (.*)", said)
    assert {text for line in foreign for text in line.split(", ")} <= {"Both hemispheres", "Inflated", "Pial"}, foreign
    made = subjects(store)
    assert made[0] == "Publish code and documents" and len(made) == len(set(made)) == 1 + len(list_records(study))
    private = private_keys(study)
    assert len(private) > 50 and keys(store).isdisjoint(private)
    assert_silent(store, study)
    dates = [
        run(["git", "log", "-1", "--format=%ct", *where], folder).stdout
        for folder, where in (
            (study, ["--", "outputs/regress/M1/lasso"]),
            (dataset(store), ["main", "--", "outputs/regress/M1/lasso"]),
        )
    ]
    assert dates[0] == dates[1]

    stranger = clone_as_stranger(store, tmp_path / "stranger")
    assert get(stranger, MAP) and (stranger / MAP).read_bytes() == (study / MAP).read_bytes()
    last = run(["git", "log", "-1", "--format=%H %s", "--", MAP], stranger).stdout
    assert last.endswith(" [DATALAD RUNCMD] regress M1 lasso\n")
    assert "command   python code/regress.py M1 lasso" in run(["make", "explain", f"RESULT={MAP}"], stranger).stdout
    said = run(["make", "verify", "CELL=regress M1 lasso"], stranger, **SMALL).stdout
    assert re.search(r"verdict: .*\b(\d+) outputs?: \1 identical", said), said
    run(["make", "inputs"], stranger)
    for result in ("outputs/prep", "outputs/extract/M1"):
        run(["datalad", "rerun", head_of(stranger, result)], stranger)
    assert "different" not in run(["make", "status"], stranger, **SMALL).stdout
    changed = run(["git", "diff", "--name-only", "origin/main", "HEAD"], stranger).stdout.splitlines()
    assert "outputs/prep/trials.tsv" in changed and all(STUDY.is_private(path) for path in changed)
    assert head(stranger, "HEAD:outputs/prep/trials.tsv") == head(study, "HEAD:outputs/prep/trials.tsv")


def list_records(folder):
    return [path for path in run(["git", "ls-files"], folder).stdout.splitlines() if path.endswith("/inputs.json")]


def head_of(folder, path):
    return run(["git", "log", "-1", "--format=%H", "--", path], folder).stdout.strip()


def test_a_later_publication_adds_what_changed_from_whichever_clone(results, tmp_path):
    store = tmp_path / "public"
    publish(results, store)
    first, n_first = head(dataset(store), "main"), len(subjects(store))
    clone = tmp_path / "clone"
    run(["datalad", "clone", str(results), str(clone)], tmp_path, **IDENTITY)
    params = clone / "code/params.toml"
    params.write_text(params.read_text().replace("epsilon = 0.1", "epsilon = 0.2"))
    commit(clone, "Try another epsilon", "code/params.toml")
    run(["datalad", "get", "outputs/prep", "outputs/extract/M1"], clone)
    run(["make", "cell", "CELL=regress M1 svr"], clone, **SMALL)
    said = publish(clone, store)
    (line,) = re.findall(
        r"code/params.toml: changed; to let it go, add below \[files\] in code/publish.toml: (.*)", said
    )
    assert (
        "  regress M1 svr: code/params.toml, which made it, does not go" in said
        and head(dataset(store), "main") == first
    )
    (clone / "code/publish.toml").write_text(f"[files]\n{line}\n")
    assert tomllib.loads((clone / "code/publish.toml").read_text())["files"]["code/params.toml"] == head(
        clone, "HEAD:code/params.toml"
    )
    commit(clone, "Let the params go")
    said = publish(clone, store)
    assert "code/params.toml, which code/publish.toml names:\n    | # Every choice of the analysis" in said
    assert "\n    | epsilon = 0.2" in said
    assert subjects(store)[n_first:] == ["Publish code and documents", "[DATALAD RUNCMD] regress M1 svr"]
    run(["git", "merge-base", "--is-ancestor", first, "main"], dataset(store))
    # Back in the first clone, which knows nothing of it.
    said = publish(results, store)
    assert subjects(store)[n_first + 2 :] == ["Publish code and documents", "[DATALAD RUNCMD] regress M1 svr"]
    assert get(clone_as_stranger(store, tmp_path / "stranger"), MAP)


def test_private_inputs_are_named_by_commit_and_id_alone(results, tmp_path):
    id_ = "0b9a8f1e-0000-4000-8000-000000000000"
    for key, value in (("datalad-id", id_), ("url", "ssh://zq" + "secret/scores"), ("note", NAME)):
        run(["git", "config", "--file", ".gitmodules", f"submodule.inputs/behavior.{key}", value], results)
    (results / "PRIVATE.md").write_text("x")
    commit(results, "Name other data")
    said = publish(results, tmp_path / "public")
    for name in ("README.md", "CITATION.cff"):
        assert f"  {name}: describes the synthetic study; write your own and name it in code/publish.toml\n" in said
    modules = run(["git", "show", "main:.gitmodules"], dataset(tmp_path / "public")).stdout
    assert id_ in modules and "secret" not in modules and "url = ./inputs/behavior" not in modules
    commit_of = [
        run(["git", "rev-parse", f"{branch}:inputs/behavior"], where).stdout
        for branch, where in (("HEAD", results), ("main", dataset(tmp_path / "public")))
    ]
    assert commit_of[0] == commit_of[1]
    assert published(tmp_path / "public").isdisjoint({"PRIVATE.md", "README.md", "CITATION.cff"})
    assert_silent(tmp_path / "public", results)
    stranger = clone_as_stranger(tmp_path / "public", tmp_path / "stranger")
    said = run(["make", "doctor"], stranger, check=False).stdout
    assert "PROBLEM" not in said and "not yet  inputs/behavior" not in said, said
    said = run(["make", "verify", "CELL=regress M1 lasso"], stranger, check=False, **SMALL).stdout
    assert "not verifiable here: the inputs are private (inputs/behavior)" in said and "Error 3" in said, said
    assert (
        "this branch is your own study: name files in code/publish.toml"
        in run(["make", "manifest"], results, check=False).stdout
    )
    (results / "README.md").write_text("Our study.\n")
    commit(results, "Describe the own study")
    (results / "code/publish.toml").write_text(f'[files]\n"README.md" = "{head(results, "HEAD:README.md")}"\n')
    commit(results, "Name its description")
    publish(results, "public")
    assert "README.md" in published(tmp_path / "public")
    path = "outputs/prep/trials.tsv"
    (results / "code/publish.toml").write_text(f'[files]\n"{path}" = "{head(results, f"HEAD:{path}")}"\n')
    commit(results, "Name a participant-level file")
    assert f"{path}, which is participant level and never goes" in refuse(results, "public")
    # Where the table of participants is not, nobody knows which names to look for.
    run(["git", "revert", "--no-edit", "HEAD"], results)
    shutil.rmtree(results / "inputs/behavior")
    (results / "inputs/behavior").mkdir()
    assert "inputs/behavior is not here, so that the participants' names" in refuse(results, "public")


def test_the_printed_command_can_be_typed_whatever_the_folder_is_called(monkeypatch):
    monkeypatch.setattr(stores, "dataset_id", lambda: DATASET)
    command = stores.Store(Path("/data/it's here"), None).clone_command
    assert shlex.split(command) == ["datalad", "clone", f"ria+file:///data/it's here#{DATASET}"]


def test_what_cannot_be_published_is_one_line(results, tmp_path):
    store = tmp_path / "public"
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter").write_text("")
    said = {
        None: "TO= is missing; name the public store",
        "ssh://host/store": "TO=ssh://host/store is no store on this disk; expected ria+file://",
        "public": "TO=public is no sibling of this clone; expected ria+file:// and a folder",
        f"{tmp_path}/file/store": f"TO={tmp_path}/file/store: {tmp_path}/file is no folder that can be written to",
        f"{tmp_path}/full": "the folder holds other things; expected a RIA store",
        f"{results}/store": "lies in this repository; name a folder outside of it",
    }
    for to, expected in said.items():
        assert expected in refuse(results, to), to
    for private in (f"{store}/within", store):
        assert "TO and PRIVATE are the same store or lie in one another" in refuse(results, store, PRIVATE=private)
    (results / "outputs/new").write_text("")
    assert "1 file(s) differ from the last commit: outputs/new" in refuse(results, store)
    (results / "outputs/new").unlink()
    run(["git", "clone", "--quiet", "--depth", "1", f"file://{results}", str(tmp_path / "shallow")], tmp_path)
    assert "this clone is shallow" in refuse(tmp_path / "shallow", store)
    content = (results / MAP).resolve()
    os.chmod(content.parent, 0o755)
    os.chmod(content, 0o644)
    content.write_bytes(b"broken")
    assert f"{MAP}: its content does not fit its checksum" in refuse(results, store)
    assert not store.exists()


def test_what_else_lies_in_a_store_stops_and_its_git_annex_branch_is_not_believed(results, tmp_path):
    """Also in a store that was made by DataLad, and one that was moved or has a space in its name."""
    store, elsewhere = tmp_path / "my store", tmp_path / "elsewhere"
    run(["datalad", "create-sibling-ria", "-s", "mine", "--new-store-ok", f"ria+file://{store}"], results)
    publish(results, "mine")
    assert get(clone_as_stranger(store, tmp_path / "stranger"), MAP)
    smuggled = "annex/objects/aa/bb/SHA256E-s9--0.tsv/0.tsv", "archives/archive.7z", "ora-remote-1/transfer/half"
    for path in smuggled:
        (dataset(store) / path).parent.mkdir(parents=True, exist_ok=True)
        (dataset(store) / path).write_text("x")
    assert f"{smuggled[0]}; remove it (and 2 more)" in refuse(results, "mine")
    for path in smuggled:
        (dataset(store) / path).unlink()
    elsewhere.mkdir()
    annex = tmp_path / "annex"
    run(["git", "clone", "--quiet", "--branch", "git-annex", str(dataset(store)), str(annex)], tmp_path)
    line = "11111111-2222-3333-4444-555555555555 autoenable=true encryption=none name=trap type=directory directory="
    with open(annex / "remote.log", "a") as log:
        log.write(f"{line}{elsewhere} timestamp=1700000000s\n")
    run(["git", "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--all", "--message", "x"], annex)
    run(["git", "push", "--quiet", "origin", "git-annex"], annex)
    store.rename(tmp_path / "moved")
    publish(results, tmp_path / "moved")
    assert "trap" not in run(["git", "show", "git-annex:remote.log"], dataset(tmp_path / "moved")).stdout
    assert not list(elsewhere.iterdir()) and "trap" not in (results / ".git/config").read_text()
    assert get(clone_as_stranger(tmp_path / "moved", tmp_path / "another"), MAP)


def kill_when(folder, to, reached):
    """Start a publication and kill all of it as soon as something is there; tell whether it was still at work."""
    command = ["make", "publish", f"TO=ria+file://{to}", "YES=1", *(f"{key}={value}" for key, value in SMALL.items())]
    environment = os.environ | {"PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    while process.poll() is None and not reached():
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    return process.wait() != 0


def test_after_interruptions_the_same_command_goes_on(results, tmp_path):
    store = tmp_path / "public"
    moments = {
        "scratch repository": lambda: any(
            (Path(note.read_text()) / "objects/info/alternates").exists()
            for note in (results / ".git/facepain").glob("publish-*")
        ),
        "content": lambda: len(keys(store)) > 3,
        "history": lambda: (dataset(store) / "refs/heads/main").exists(),
    }
    for name, reached in moments.items():
        assert kill_when(results, store, reached), name
    # What an interrupted publication copied, and a later run of its result made otherwise, stops nothing.
    key = f"SHA256E-s3--{'a' * 64}.tsv"
    (dataset(store) / "annex/objects/aaa/bbb" / key).mkdir(parents=True)
    (dataset(store) / "annex/objects/aaa/bbb" / key / key).write_text("old")
    assert f"{key}; remove it" in refuse(results, store)
    with open(dataset(store) / "annex/facepain-sent", "a") as note:
        note.write(f"{key}\n")
    publish(results, store)
    assert list((results / ".git/facepain").glob("publish-*")) == []
    assert len(subjects(store)) == 1 + len(list_records(results))
    assert get(clone_as_stranger(store, tmp_path / "stranger"), MAP)
    assert_silent(store, results)
