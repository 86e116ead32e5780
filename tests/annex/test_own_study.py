"""One's own datasets in place of the synthetic ones: from wherever they lie, all or nothing, and back again."""

import os
import shutil
import stat
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from repositories import copy_repository, make_repository, run

from errors import InputError
from files.tables import read_table
from own_study import find_source
from provenance.annex.own_dataset import import_files, list_parts

pytestmark = pytest.mark.slow
AFFINE = np.diag([-18.0, 18, 18, 1]) + np.array([[0, 0, 0, 90], [0, 0, 0, -126], [0, 0, 0, -72], [0, 0, 0, 0]])
SHAPE = (11, 13, 11)


def write_study(folder, n_participants=12):
    """Write a folder of images and, beside it, a table in which the score is the mean of the image."""
    rng = np.random.default_rng(1)
    images = folder / "my images"
    images.mkdir(parents=True)
    lines = ["participant_id,contrast,facs"]
    for number in range(n_participants):
        values = rng.normal(0, 1, SHAPE).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), images / f"con é {number}.nii.gz")
        lines.append(f"sub-{number:02d},con é {number}.nii.gz,{abs(values.mean()) * 100:.3f}")
    (images / "spmT_0001.hdr").write_text("not wanted")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return images, folder / "scores.csv"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("own")
    images, table = write_study(place / "data")
    return make_repository(place / "repository"), images, table


@pytest.fixture
def repository(made, tmp_path):
    return copy_repository(made[0], tmp_path / "repository")


@pytest.fixture(scope="module")
def dataset(made, tmp_path_factory):
    """A DataLad dataset of the images and the table; tests must not change it."""
    folder = tmp_path_factory.mktemp("datalad") / "dataset"
    run(["datalad", "-l", "error", "create", str(folder)], folder.parent, **IDENTITY)
    for path in made[1].glob("con*"):
        shutil.copy(path, folder)
    shutil.copy(made[2], folder)
    run(["datalad", "-l", "error", "save", "-d", str(folder)], folder.parent, **IDENTITY)
    return folder


IDENTITY = {f"GIT_{role}_{part}": "x@y" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def own(folder, check=True, confirm=True, **variables):
    done = run(["make", "own", *(f"{key}={value}" for key, value in variables.items())], folder, check)
    if confirm and done.returncode == 0:
        # What was read from the data waits for somebody to look at it.
        run(["git", "commit", "--quiet", "--all", "--allow-empty", "--message", "Describe my study"], folder)
    return done


def describe(folder):
    """Everything that a failed step must leave as it was."""
    asked = (["status", "--porcelain"], ["branch", "--list"], ["rev-parse", "HEAD"], ["config", "--local", "--list"])
    state = [run(["git", *arguments], folder).stdout for arguments in asked]
    hook = (folder / ".git/hooks/pre-push").read_text()
    inputs = sorted(path.name for path in (folder / "inputs").iterdir())
    heads = [run(["git", "rev-parse", "HEAD"], folder / "inputs" / name).stdout for name in inputs]
    return state, hook, inputs, heads


def set_table(folder, name):
    path = folder / "code/params.toml"
    path.write_text(path.read_text().replace("inputs/behavior/trials.tsv", f"inputs/behavior/{name}", 1))
    run(["git", "commit", "--quiet", "--all", "--allow-empty", "--message", "Name my table"], folder)


def recorded(folder, name, key):
    return run(["git", "config", "--file", ".gitmodules", f"submodule.inputs/{name}.{key}"], folder).stdout.strip()


def test_a_plain_folder_is_used_where_it_lies_and_going_back_restores_the_rest(repository, made):
    _, images, table = made
    synthetic = describe(repository)
    files = {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in images.iterdir()}
    said = own(repository, CONTRASTS=images, BEHAVIOR=table, ONLY="con*", confirm=False).stdout
    assert 'prep.table = "inputs/behavior/scores.csv"' in said and "confirm by `git commit" in said
    assert "plot" not in said  # the score is called as the stand-in's
    assert "similarity.signatures is left out" in said and "no SIGNATURES= was given" in said
    assert run(["git", "status", "--porcelain"], repository).stdout == " M code/params.toml\n"
    assert run(["git", "branch", "--show-current"], repository).stdout.strip() == "own-study"
    found = sorted((repository / "inputs/contrasts").glob("[!.]*"))
    assert [path.name for path in found] == sorted(path.name for path in images.glob("con*"))
    # Known by checksum, and none copied but the one whose header was asked where left is.
    assert sum(path.exists() for path in found) == 1
    everything = (
        run(["git", "log", "-p", "own-study"], repository).stdout
        + run(["git", "log", "-p", "--all"], repository / "inputs/contrasts").stdout
    )
    assert str(images) not in everything

    set_table(repository, "scores.csv")
    said = run(["make", "check"], repository).stdout
    assert "12 of 12 usable" in said and "100% of it lies in the images" in said
    run(["make", "prep"], repository)
    assert '"synthetic": false' in (repository / "outputs/prep/study.json").read_text()
    assert {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in images.iterdir()} == files

    run(["make", "synthetic"], repository)
    assert describe(repository)[2:] == synthetic[2:]
    assert describe(repository)[0][2] == synthetic[0][2]
    run(["git", "switch", "--quiet", "own-study"], repository)
    run(["make", "inputs"], repository)
    assert (repository / "inputs/behavior/scores.csv").read_text() == table.read_text()
    assert run(["git", "status", "--porcelain"], repository).stdout == ""


def test_a_branch_with_private_data_is_neither_pushed_by_accident_nor_made_again(repository, made, tmp_path):
    own(repository, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    run(["git", "init", "--quiet", "--bare", str(tmp_path / "public")], tmp_path)
    run(["git", "remote", "add", "public", str(tmp_path / "public")], repository)
    done = run(["git", "push", "public", "own-study"], repository, check=False)
    assert done.returncode != 0 and "not pushed: this commit records private data" in done.stdout
    run(["git", "annex", "init", "--quiet"], tmp_path / "public", **IDENTITY)
    (repository / "outputs/prep").mkdir(parents=True)
    (repository / "outputs/prep/trials.tsv").write_text("participant_id\n")
    run(["git", "add", "outputs"], repository)
    run(["git", "commit", "--quiet", "--message", "A result"], repository)
    run(["make", "inputs"], repository)  # as every command, looks at the remotes
    for branch in ("own-study", "main"):
        run(["git", "switch", "--quiet", branch], repository)
        done = run(["datalad", "push", "--to", "public"], repository, check=False)
        assert done.returncode != 0, done.stdout
    assert not list((tmp_path / "public/annex").rglob("*.tsv"))
    assert run(["git", "for-each-ref", "--format=%(refname)", "refs/heads"], tmp_path / "public").stdout.split() in (
        ["refs/heads/git-annex"],
        ["refs/heads/git-annex", "refs/heads/main"],
    )
    assert "SHA256E" not in run(["git", "ls-tree", "-r", "--name-only", "git-annex"], tmp_path / "public").stdout
    run(["git", "push", "public", "main"], repository)
    run(["git", "worktree", "add", "--quiet", str(tmp_path / "tree"), "own-study"], repository)
    done = run(["git", "push", "public", "own-study"], tmp_path / "tree", check=False)
    assert done.returncode != 0 and "not pushed" in done.stdout
    shutil.rmtree(tmp_path / "tree")
    run(["git", "worktree", "prune"], repository)
    run(["git", "switch", "--quiet", "own-study"], repository)
    hook = repository / ".git/hooks/pre-push"
    hook.write_text(hook.read_text() + "# a line of the user's\n")
    others = hook.with_name("pre-push.next").read_text()
    run(["make", "inputs"], repository)
    assert hook.with_name("pre-push.next").read_text() == others and "Written by" not in others
    run(["git", "push", "public", "main"], repository)

    before = describe(repository)
    done = own(repository, False, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    assert done.returncode != 0 and "there is a branch own-study already" in done.stdout
    assert describe(repository) == before


def test_a_dataset_by_path_and_a_ria_store_keep_id_and_url_and_another_clone_fetches_them(
    repository, dataset, tmp_path
):
    url = f"ria+file://{tmp_path}/store"
    stored = shutil.copytree(dataset, tmp_path / "dataset", symlinks=True)
    run(
        ["datalad", "-l", "error", "create-sibling-ria", "-s", "store", "--alias", "pain", "--new-store-ok", url],
        stored,
    )
    run(["datalad", "-l", "error", "push", "--to", "store"], stored, **IDENTITY)
    shutil.rmtree(make_writable(stored))
    own(repository, CONTRASTS=f"{url}#~pain", BEHAVIOR=dataset)
    id_ = run(["git", "config", "--file", ".datalad/config", "datalad.dataset.id"], dataset).stdout.strip()
    assert recorded(repository, "contrasts", "datalad-id") == recorded(repository, "behavior", "datalad-id") == id_
    assert recorded(repository, "contrasts", "url") == f"{url}#~pain"
    assert recorded(repository, "behavior", "url") == str(dataset)
    set_table(repository, "scores.csv")
    # The table belongs to the dataset of images too, and so do its images to that of tables.
    said = run(["make", "prep"], repository).stdout
    assert "12 of 12 trials are usable" in said

    run(["git", "clone", "--quiet", "--branch", "own-study", str(repository), str(tmp_path / "clone")], tmp_path)
    run(["make", "inputs"], tmp_path / "clone", **IDENTITY)
    for name in ("contrasts", "behavior"):
        assert (tmp_path / "clone/inputs" / name / ".git").exists()
    assert run(["git", "status", "--porcelain"], tmp_path / "clone").stdout == ""

    # Both copies make way at once, and come back.
    run(["make", "synthetic"], repository)
    assert recorded(repository, "contrasts", "datalad-id") != id_
    assert run(["git", "status", "--porcelain"], repository).stdout == ""
    run(["git", "switch", "--quiet", "own-study"], repository)
    run(["make", "inputs"], repository)
    assert run(["git", "status", "--porcelain"], repository).stdout == ""


def test_a_bare_repository_behind_ssh_is_a_source(repository, dataset, tmp_path):
    bare = tmp_path / "bare.git"
    run(["git", "clone", "--quiet", "--bare", str(dataset), str(bare)], tmp_path)
    run(["git", "annex", "init", "--quiet", "bare"], bare, **IDENTITY)
    run(["git", "annex", "get", "--all", "--quiet"], bare, **IDENTITY)
    # In place of a host: a command `ssh` that runs here what it is told to run there.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(FAKE_SSH)
    (tools / "ssh").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "GIT_SSH": str(tools / "ssh")}
    sources = {"contrasts": f"ssh://somewhere{bare}", "behavior": f"somewhere:{bare}"}
    given = [f"{name.upper()}={source}" for name, source in sources.items()]
    done = run(["make", "own", *given], repository, False, **environment)
    assert done.returncode == 0, done.stdout
    for name, source in sources.items():
        assert recorded(repository, name, "url") == source
    set_table(repository, "scores.csv")
    done = run(["make", "check"], repository, False, **environment)
    assert "12 of 12 usable" in done.stdout, done.stdout


FAKE_SSH = """\
#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        -o|-p|-i|-S|-l|-F|-O) [ "$1" = -O ] && exit 0; shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
shift
[ $# -eq 0 ] && exit 0
exec sh -c "$*"
"""


def make_writable(folder):
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, stat.S_IRWXU)
    return folder


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CONTRASTS": "/no/such/folder"}, r"CONTRASTS=/no/such/folder: no such folder or file"),
        ({"CONTRASTS": "{empty}"}, "holds no file called *.hdr, *.img, *.nii, *.nii.gz, *.mat; correct the path"),
        ({"CONTRASTS": "{images}", "BEHAVIOR": ""}, "BEHAVIOR= is missing"),
        ({"CONTRASTS": "{images}", "ONLY": "beta*"}, "holds no file called beta*.hdr, beta*.img"),
        ({"CONTRASTS": "{linked}"}, "is a link, one of 1 below"),
        ({"CONTRASTS": "{here}/code"}, "lies in this repository; move it beside"),
        ({"CONTRASTS": "{bare}"}, "has no commit; expected a dataset with files"),
        ({"CONTRASTS": "{nested}"}, "its subdatasets, such as sub-01, are not looked into; expected the contrasts"),
        ({"CONTRASTS": "ria+file:///no/store#~x"}, "ria+file:///no/store#~x cannot be cloned"),
        ({"CONTRASTS": "file:///no/such/dataset"}, "cannot be cloned"),
        ({"CONTRASTS": "{images}", "MASKS": "file:///no/such/dataset"}, "cannot be cloned"),
    ],
)
def test_a_source_that_cannot_be_used_leaves_everything_as_it_was(made, tmp_path, variables, message):
    folder, images, table = made
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/con.nii.gz").symlink_to(next(images.glob("con*")))
    for name in ("bare", "nested"):
        subprocess.run(["git", "init", "--quiet", str(tmp_path / name)], check=True)
    subdataset = ["--add", "--cacheinfo", f"160000,{'1' * 40},sub-01"]
    run(["git", "update-index", *subdataset], tmp_path / "nested")
    run(["git", "commit", "--quiet", "--message", "A subdataset"], tmp_path / "nested", **IDENTITY)
    places = {name: tmp_path / name for name in ("empty", "linked", "bare", "nested")}
    places |= {"images": images, "here": folder}
    chosen = {"BEHAVIOR": str(table)} | {key: value.format(**places) for key, value in variables.items()}
    before = describe(folder)
    done = run([sys.executable, "code/study.py", "own"], folder, False, **chosen)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert message in done.stdout
    assert describe(folder) == before


@pytest.mark.parametrize(
    ("files", "source", "name", "only", "message"),
    [
        (["t.csv", "link.csv -> t.csv"], "link.csv", "behavior", None, "is a link; expected the file itself: "),
        (["s.xlsx"], "s.xlsx", "behavior", None, r"expected \.tsv, .*; convert it \(a spreadsheet: save it as CSV"),
        (["my t.csv", "my_t.csv"], "my t.csv", "behavior", None, "my_t.csv: git-annex cannot tell its name from my t"),
        (
            ["sub-1/sub-1.nii", "sub-1/mask.nii"],
            "",
            "contrasts",
            "sub-*",
            "fits the folder of sub-1/mask.nii, one of 1",
        ),
    ],
)
def test_a_file_that_would_be_left_out_or_taken_along_stops(tmp_path, files, source, name, only, message):
    for file, _, target in (file.partition(" -> ") for file in files):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).symlink_to(target) if target else (tmp_path / file).touch()
    with pytest.raises(InputError, match=message):
        import_files(tmp_path / source, tmp_path / "made", name, only)
    assert not (tmp_path / "made").exists()


def test_an_image_in_two_files_is_taken_whole(tmp_path):
    for name in ("brain.hdr", "brain.img", "brain.nii", "other.img"):
        (tmp_path / name).touch()
    assert list_parts(tmp_path / "brain.hdr", "masks") == ["brain.hdr", "brain.img"]
    assert list_parts(tmp_path / "brain.nii", "masks") == ["brain.nii"]


def test_the_table_of_signatures_stands_for_its_folder(tmp_path):
    (tmp_path / "signatures.tsv").touch()
    assert find_source("signatures", str(tmp_path / "signatures.tsv")) == ("files", str(tmp_path))


def test_what_a_killed_call_left_is_undone_by_the_next(repository, made):
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text('#!/bin/sh\nkill -9 "$(ps -o ppid= -p $PPID)"\nexit 1\n')  # what called git
    hook.chmod(0o755)
    before = describe(repository)
    own(repository, False, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    hook.unlink()
    assert run(["git", "branch", "--show-current"], repository).stdout.strip() == "own-study"
    run(["make", "inputs"], repository)
    assert describe(repository) == before


@pytest.mark.parametrize("step", ["reference-transaction", "post-checkout", "pre-commit"])
def test_a_failure_in_any_step_is_undone(repository, made, step):
    hook = repository / ".git/hooks" / step
    hook.write_text("#!/bin/sh\ncat >/dev/null\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    if step == "pre-commit":  # where no dataset has to make way, there is an empty folder again
        shutil.rmtree(make_writable(repository / "inputs/behavior"))
        (repository / "inputs/behavior").mkdir()
    before = describe(repository)
    done = own(repository, False, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    assert done.returncode != 0
    assert "not today" in done.stdout or "hook declined" in done.stdout or "hook" in done.stdout, done.stdout
    hook.unlink()
    assert describe(repository) == before
    assert (step != "pre-commit") or not any((repository / "inputs/behavior").iterdir())


def test_hooks_that_repositories_share_are_left_alone(repository, made, tmp_path):
    shared = tmp_path / "home/hooks"
    shared.mkdir(parents=True)
    (shared / "pre-push").write_text("#!/bin/sh\nexit 0\n")
    for place in (str(shared), os.devnull):
        (tmp_path / "home/.gitconfig").write_text(f"[core]\n    hooksPath = {place}\n")
        done = run(
            ["make", "own", f"CONTRASTS={made[1]}", f"BEHAVIOR={made[2]}", "ONLY=con*"],
            repository, HOME=str(tmp_path / "home"),
        )  # fmt: skip
        assert "on the branch own-study" in done.stdout
        assert "a commit that holds PRIVATE.md" in (repository / ".git/hooks/pre-push").read_text()
        assert [path.read_text() for path in shared.iterdir()] == ["#!/bin/sh\nexit 0\n"]
        run(["git", "commit", "--quiet", "--all", "--message", "Describe my study"], repository)
        run(["make", "synthetic"], repository)
        run(["git", "branch", "--quiet", "-D", "own-study"], repository)
        shutil.rmtree(make_writable(repository / ".git/facepain/datasets"))
        (repository / ".git/facepain/datasets").mkdir()
    shutil.rmtree(repository / ".git/hooks")
    (repository / ".git/hooks").symlink_to(shared)
    before = describe(repository)[0]
    done = own(repository, False, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    assert done.returncode != 0 and ".git/hooks is a link out of this clone" in done.stdout
    assert describe(repository)[0] == before


def test_changed_files_of_ones_own_are_noticed_and_taken_up(repository, made, tmp_path):
    images, table = write_study(tmp_path / "mine")
    own(repository, CONTRASTS=images, BEHAVIOR=table, ONLY="con*")
    set_table(repository, "scores.csv")
    # The first image has been fetched, for its header.
    changed = sorted(images.glob("con*"))[-1]
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), changed)
    done = run(["make", "check"], repository, check=False)
    assert done.returncode != 0 and "content has changed" in done.stdout and "`make own` records it" in done.stdout
    assert "inputs/contrasts changed" in run(["make", "own"], repository).stdout
    said = run(["make", "check"], repository).stdout
    assert f"WARNING   inputs/contrasts/{changed.name}" in said and "constant inside the masks" in said

    # All or nothing: the table has changed, and the images cannot be found, or nothing can be committed.
    table.write_text(table.read_text() + "\n")
    before = describe(repository)
    moved = images.rename(tmp_path / "moved")
    images.mkdir()
    for said in ("holds no file called con*.hdr", "no such folder"):
        done = run(["make", "own"], repository, check=False)
        assert done.returncode != 0 and f"{images}: {said}" in done.stdout, done.stdout
        assert "`git -C inputs/contrasts annex enableremote owner directory=NEW`" in done.stdout
        assert describe(repository) == before
        shutil.rmtree(images, ignore_errors=True)
    run(["git", "annex", "enableremote", "owner", f"directory={moved}"], repository / "inputs/contrasts")
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    done = run(["make", "own"], repository, check=False)
    assert done.returncode != 0 and "not today" in done.stdout and describe(repository) == before
    hook.unlink()
    assert "own: inputs/behavior changed" in run(["make", "own"], repository).stdout
    assert run(["git", "status", "--porcelain"], repository).stdout == ""


def test_three_datasets_train_on_one_test_on_each_other_and_classify_among_all(repository, tmp_path):
    images, table = write_study(tmp_path / "mine", 24)
    header, *lines = table.read_text().splitlines()
    lines = [f"{line},dataset-{1 + number // 8}" for number, line in enumerate(lines)]
    table.write_text("\n".join([f"{header},dataset", *lines]) + "\n")
    own(repository, CONTRASTS=images, BEHAVIOR=table, ONLY="con*")
    set_table(repository, "scores.csv")
    assert "tested on dataset-2, dataset-3" in run(["make", "check"], repository).stdout
    for command in (
        "prep",
        "extract whole-brain",
        "regress whole-brain ridge --n-permutations 9 --n-bootstraps 5",
        "classify whole-brain",
    ):
        stage, *names = command.split()
        run([sys.executable, f"code/{stage}.py", *names], repository)
        run(["git", "add", "outputs"], repository)
        run(["git", "commit", "--quiet", "--message", command], repository)
    tests = read_table(repository / "outputs/regress/whole-brain/ridge/test_metrics.tsv")
    assert tests["dataset"].tolist() == ["dataset-2", "dataset-3"] and tests["n_test"].tolist() == [8, 8]
    confusion = read_table(repository / "outputs/classify/whole-brain/confusion.tsv")
    assert set(confusion["observed"]) == {"dataset-1", "dataset-2", "dataset-3"}


def test_unsaved_changes_in_a_dataset_are_not_moved_away(repository, made):
    path = repository / "inputs/behavior/trials.tsv"
    path.write_text(path.read_text() + "\n")
    done = own(repository, False, CONTRASTS=made[1], BEHAVIOR=made[2], ONLY="con*")
    assert (
        done.returncode != 0
        and "inputs/behavior has 1 file(s) that differ from its last commit; it is left alone: look with" in done.stdout
    )
