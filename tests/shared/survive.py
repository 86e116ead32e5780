"""Killed at any moment, several at once, on a full or read-only disk, with lost or broken content: one command goes on.

Prints what was tried, what survived and what was lost. ``FACEPAIN_KILLS=n`` kills each stage n times by each signal (1
by default, which is three times a stage).
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repositories import OF_AN_OUTER_MAKE, SMALL, run, small_cells

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("FACEPAIN_KILLS", "1"))
N_CELLS = len(small_cells())
STAGES = ("prep", "extract", "regress", "classify", "plot")


TRIED = {}  # attempts by the name of a test, where there is more than one


@pytest.fixture(scope="module")
def rows(request):
    """Collect what survived, and print it at the end."""
    found = []
    yield found
    report = request.config.pluginmanager.getplugin("terminalreporter")
    report.write_line(f"\n{'fault':75} tried survived lost")
    for name, survived in found:
        tried = TRIED.get(name, 1)
        report.write_line(f"{name[5:].replace('_', ' '):75} {tried:5} {tried * survived:8} {tried * (not survived):4}")


@pytest.fixture(autouse=True)
def counted(request, rows):
    failed = request.session.testsfailed
    yield
    rows.append((request.node.name, request.session.testsfailed == failed))


def start(target, folder, **variables):
    """Start make as a terminal would, in a process group of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_AN_OUTER_MAKE} | SMALL | variables
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["make", target], cwd=folder, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def processes_in(folder):
    """Return pid and command line of every process whose working directory lies in a folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = Path(os.readlink(entry / "cwd")).is_relative_to(folder)
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (OSError, UnicodeDecodeError):
                continue
            if inside and words:
                found[int(entry.name)] = words
    return found


def wait_until_nobody_works(folder, patience=60):
    deadline = time.monotonic() + patience
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def make_stale(folder, stage, number):
    """Edit a comment, so that the cells of a stage run again and come out the same."""
    with open(folder / f"code/{stage}.py", "a") as file:
        file.write(f"# Edit {number}.\n")
    run(["git", "commit", "--quiet", "--message", "Comment", "--", f"code/{stage}.py"], folder)


def tree(folder, path):
    """Return the object ids of results, but for the records of what they were made from."""
    listing = run(["git", "ls-tree", "-r", "HEAD", path], folder).stdout.splitlines()
    return {line.split("\t")[1]: line.split()[2] for line in listing if not line.endswith("inputs.json")}


def victims(process, number, name, folder):
    """Return whom a signal hits: as the terminal does, everybody; as an operator does, one of them."""
    if name == "SIGINT":
        return list(processes_of_group(process.pid))
    if name == "SIGTERM":
        return [process.pid]
    words = {1: "code/study.py", 2: "datalad", 3: "code/"}
    chosen = [pid for pid, line in processes_in(folder).items() if words.get(number % 4, "make") in line]
    return chosen or [process.pid]


def processes_of_group(group):
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    yield int(entry.name)
            except ProcessLookupError:
                continue


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_at_random_goes_on_and_commits_nothing_half(study, stage, request):
    TRIED[request.node.name] = 3 * KILLS
    moments = random.Random(f"{stage} {KILLS}")
    place = "figures" if stage == "plot" else f"outputs/{stage}"
    whole = tree(study, place)
    for number in range(3 * KILLS):
        name = ("SIGINT", "SIGTERM", "SIGKILL")[number % 3]
        make_stale(study, stage, number)
        head = run(["git", "rev-parse", "HEAD"], study).stdout.strip()
        process = start(stage, study)
        time.sleep(moments.uniform(0.5, 7))
        for pid in victims(process, number // 3, name, study):
            try:
                os.kill(pid, getattr(signal, name))
            except ProcessLookupError:
                continue
        said, _ = process.communicate(timeout=180)
        wait_until_nobody_works(study)
        assert "Traceback" not in said, said
        run(["git", "merge-base", "--is-ancestor", head, "HEAD"], study)
        # Every commit since holds the whole result of a cell.
        for commit in run(["git", "log", "--format=%H", f"{head}..HEAD"], study).stdout.split():
            assert "[DATALAD RUNCMD]" in run(["git", "log", "-1", "--format=%B", commit], study).stdout
        assert tree(study, place) == whole
    said = run(["make", stage], study, **SMALL).stdout
    assert run(["git", "status", "--porcelain"], study).stdout == "", said
    assert tree(study, place) == whole
    assert not [path for path in (study / place).rglob("*") if not path.exists()]
    assert f"{stage}: fresh" in run(["make", stage], study, **SMALL).stdout


def test_two_calls_at_once_do_the_work_once(study):
    make_stale(study, "classify", 0)
    make_stale(study, "prep", 0)
    both = [start("classify", study), start("classify", study)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("is at work in this repository" in text for text in said)
    runs = run(["git", "log", "--format=%s", "-3"], study).stdout
    assert runs.count("[DATALAD RUNCMD] prep") == runs.count("[DATALAD RUNCMD] classify") == 1
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_full_disk_is_said_and_room_is_enough_to_go_on(study, tmp_path):
    used = int(run(["du", "-sm", str(study)], tmp_path).stdout.split()[0])
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = run(["mount", "-t", "tmpfs", "-o", f"size={used + 100}m", "tmpfs", str(disk)], tmp_path, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        folder = disk / "study"
        shutil.copytree(study, folder, symlinks=True)
        make_stale(folder, "regress", 0)
        head = run(["git", "rev-parse", "HEAD"], folder).stdout
        for spare in (0, 1_000_000, 5_000_000):
            fill(disk, spare)
            done = run(["make", "regress"], folder, check=False, **SMALL)
            (disk / "ballast").unlink()
            assert done.returncode != 0 and "Traceback" not in done.stdout, done.stdout
            assert "No space left on device" in done.stdout or "make room" in done.stdout, done.stdout
            assert run(["git", "rev-parse", "HEAD"], folder).stdout == head
        done = run(["make", "regress"], folder, check=False, **SMALL)
        assert done.returncode == 0, done.stdout
        assert run(["git", "status", "--porcelain"], folder).stdout == ""
        wait_until_nobody_works(folder)
    finally:
        run(["umount", "--lazy", str(disk)], tmp_path)


def fill(disk, spare):
    free = shutil.disk_usage(disk).free
    with open(disk / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - spare))


def test_a_folder_that_cannot_be_written_to_is_named_before_anything_runs(study, tmp_path):
    make_stale(study, "classify", 0)
    outputs = study / "outputs/classify"
    if os.geteuid() == 0:  # whom no mode keeps from writing
        mounted = run(["mount", "--bind", str(outputs), str(outputs)], tmp_path, check=False)
        if mounted.returncode:
            pytest.skip("mounting a folder needs more rights")
        run(["mount", "-o", "remount,ro,bind", str(outputs)], tmp_path)
    else:
        for folder in (outputs, outputs / "whole-brain"):
            folder.chmod(0o555)
    try:
        done = run(["make", "classify"], study, check=False, **SMALL)
    finally:
        if os.geteuid() == 0:
            run(["umount", str(outputs)], tmp_path)
        for folder in (outputs, outputs / "whole-brain"):
            folder.chmod(0o755)
    assert done.returncode != 0
    assert "classify/whole-brain cannot be written to; `chmod u+w outputs/classify/whole-brain`" in done.stdout
    assert "datalad" not in done.stdout
    run(["make", "classify"], study, **SMALL)
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def lose(path):
    content = path.resolve()
    content.parent.chmod(0o755)
    content.chmod(0o644)
    return content


def test_removed_and_broken_content_is_made_again(study):
    before = run(["git", "rev-parse", "HEAD"], study).stdout
    removed = study / "outputs/regress/M1/lasso/weights_final.nii.gz"
    broken = study / "outputs/extract/M1/signals.npy"
    contents = [path.read_bytes() for path in (removed, broken)]
    lose(removed).unlink()
    content = lose(broken)
    content.write_bytes(contents[1][:-1] + b"\0")
    said = run(["make", "status"], study, **SMALL).stdout
    assert "the content of 1 file(s) is not in this clone" in said
    assert "the content of outputs/extract/M1/signals.npy does not fit its checksum" in said
    assert f"{N_CELLS - 2} of {N_CELLS} results are fresh" in said
    said = run(["make", "all"], study, **SMALL).stdout
    assert f"2 of {N_CELLS} cells ran" in said and "different" not in said
    assert [path.read_bytes() for path in (removed, broken)] == contents
    assert run(["git", "rev-parse", "HEAD"], study).stdout == before
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_broken_input_is_never_read(study):
    image = next((study / "inputs/contrasts").rglob("*_con.img"))
    content = lose(image)
    size = content.stat().st_size
    content.write_bytes(b"\1" * size)
    make_stale(study, "extract", 0)
    done = run(["make", "extract"], study, check=False, **SMALL)
    name = image.relative_to(study / "inputs/contrasts")
    assert done.returncode != 0
    assert f"contrasts/{name}: its content does not fit its checksum; set it aside with" in done.stdout
    run(["git", "annex", "fsck", "--quiet", str(name)], study / "inputs/contrasts", check=False)
    said = run(["make", "extract"], study, **SMALL).stdout
    assert "inputs/contrasts: the content of 1 file(s) is lost; built again" in said
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_lock_of_another_git_is_respected_and_one_of_a_killed_run_removed(study):
    make_stale(study, "classify", 0)
    lock = study / ".git/index.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    done = run(["make", "classify"], study, check=False, **SMALL)
    assert done.returncode != 0 and lock.exists()
    assert ".git/index.lock: another git is at work here or was killed; if none runs, `rm" in done.stdout
    lock.unlink()
    process = start("classify", study)
    while not (study / ".git/facepain/running.json").exists():
        time.sleep(0.05)
    for pid in processes_in(study):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_until_nobody_works(study)
    lock.touch()
    assert "classify whole-brain: majority share" in run(["make", "classify"], study, **SMALL).stdout
    assert not lock.exists()


def test_own_publish_and_all_at_once_wait_for_each_other(study, tmp_path):
    make_stale(study, "classify", 0)
    images = tmp_path / "images"
    images.mkdir()
    for image in list((study / "inputs/contrasts").rglob("*_con.*"))[:2]:
        shutil.copy(image, images)
    (tmp_path / "scores.csv").write_text("participant_id,contrast,facs\nsub-1,x,1\n")
    everybody = [
        start("all", study),
        start("publish", study, TO=f"ria+file://{tmp_path}/store", YES="1"),
        start("own", study, CONTRASTS=str(images), BEHAVIOR=str(tmp_path / "scores.csv")),
        start("publish", study, TO=f"ria+file://{tmp_path}/store", YES="1"),
    ]
    said = [process.communicate(timeout=600)[0] for process in everybody]
    assert not any("Traceback" in text for text in said), said
    wait_until_nobody_works(study)
    # What `make own` proposes is left for its owner to look at.
    assert run(["git", "status", "--porcelain"], study).stdout in ("", " M code/params.toml\n")
    run(["git", "checkout", "--quiet", "--", "code/params.toml"], study)
    assert "missing" not in run(["git", "fsck", "--connectivity-only"], study).stdout
    run(["git", "switch", "--quiet", "main"], study, check=False)
    done = run(["make", "all"], study, check=False, **SMALL)
    assert done.returncode == 0 and run(["git", "status", "--porcelain"], study).stdout == "", done.stdout


@pytest.mark.parametrize("years", [-1, 1])
def test_a_clock_that_is_a_year_off_changes_nothing(study, years):
    """Times of files and of commits, which is all that a clock leaves behind."""
    then = time.time() + years * 365 * 86400
    for parent, _, names in os.walk(study):
        for name in names:
            os.utime(os.path.join(parent, name), (then, then), follow_symlinks=False)
    dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"@{int(then)} +0000")
    assert "0 of " in run(["make", "all"], study, **SMALL, **dates).stdout
    make_stale(study, "classify", 0)
    whole = tree(study, "outputs/classify")
    said = run(["make", "classify"], study, **SMALL, **dates).stdout
    assert "classify whole-brain" in said and tree(study, "outputs/classify") == whole
    assert "classify: fresh" in run(["make", "classify"], study, **SMALL).stdout
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_folder_without_write_permission_for_git_is_named(study):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    make_stale(study, "classify", 0)
    (study / ".git/objects").chmod(0o555)
    done = run(["make", "classify"], study, check=False, **SMALL)
    (study / ".git/objects").chmod(0o755)
    assert done.returncode != 0 and "Traceback" not in done.stdout


def test_a_file_system_without_links_is_refused(study, tmp_path):
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with open(image, "wb") as file:
        file.truncate(200_000_000)
    made = shutil.which("mkfs.vfat") and run(["mkfs.vfat", str(image)], tmp_path, check=False).returncode == 0
    if not made or run(["mount", "-o", "loop", str(image), str(disk)], tmp_path, check=False).returncode:
        pytest.skip("making and mounting a FAT file system needs mkfs.vfat and root")
    try:
        run(["git", "clone", "--quiet", str(study), str(disk / "clone")], tmp_path)
        done = run(["make", "setup"], disk / "clone", check=False)
        assert done.returncode != 0 and "a file system without symbolic links" in done.stdout
    finally:
        run(["umount", "--lazy", str(disk)], tmp_path)
