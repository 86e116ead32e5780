"""`make submit` on a real Slurm: the bytes of `make all`; failed, killed, lost and cancelled jobs leave no trace."""

import re
import shutil

import pytest
from repositories import SMALL, edit_params, make_repository, run
from slurm import Slurm

pytestmark = pytest.mark.slow
ONE_MODEL = {
    "extract": {"masks": ["M1"]},
    "regress": {"algorithms": ["lasso"]},
    "classify": {"masks": ["M1"]},
    "plot": {"mask": "M1"},
}
MINUTES = 30  # that a test waits at most, on a busy machine


@pytest.fixture
def slurm():
    with Slurm() as slurm:
        yield slurm


@pytest.fixture
def repository(tmp_path):
    """A small study without results whose jobs work below a folder of the test."""
    folder = make_repository(tmp_path / "hub")
    (tmp_path / "scratch").mkdir()
    edit(folder, "code/cluster.toml", 'scratch = ""', f'scratch = "{tmp_path}/scratch"')
    return folder


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    run(["git", "commit", "--quiet", "--all", "--message", f"Edit {name}"], folder)


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def test_all_cells_by_jobs_have_the_bytes_of_make_all(slurm, repository, finished_study, tmp_path):
    local = finished_study[0]
    before = git(repository, "rev-parse", "HEAD")
    said = run(["make", "submit"], repository, **SMALL, **slurm.environment).stdout
    cells = git(local, "log", "--format=%s", "--grep", "DATALAD RUNCMD").splitlines()
    assert f"{len(cells)} job(s) submitted, 0 were there" in said
    assert re.search(r"regress M1 lasso: job \d+, \d+ min, \d+ MB, 1 core\(s\), after \d+ \d+\n", said)
    slurm.wait_for(lambda: not slurm.jobs(), 60 * MINUTES)

    status = run(["make", "status"], repository, **SMALL, **slurm.environment).stdout
    assert f"{len(cells)} of {len(cells)} results are fresh" in status, status
    assert re.search(r"regress M1 lasso +fresh +job \d+ COMPLETED on n[12], \d+:\d\d", status)
    for results in ("outputs", "figures"):
        assert git(repository, "rev-parse", f"HEAD:{results}") == git(local, "rev-parse", f"HEAD:{results}")
    assert git(repository, "status", "--porcelain") == "" and list((tmp_path / "scratch").iterdir()) == []
    assert git(repository, "for-each-ref", "refs/facepain") == "" and not git(repository, "log", "--merges")
    records = {repo: git(repo, "log", "--format=%B%x00", "--grep", "DATALAD RUNCMD") for repo in (repository, local)}
    assert sorted(records[repository].split("\0")) == sorted(records[local].split("\0"))
    assert git(repository, "rev-list", "--count", f"{before}..HEAD") == str(len(cells))
    # No clone that is gone is known, and the content is known to be here.
    assert len(git(repository, "cat-file", "blob", "git-annex:uuid.log").splitlines()) == 1
    assert "1 copy" in git(repository, "annex", "whereis", "outputs/extract/M1/signals.npy")
    assert "0 job(s) submitted" in run(["make", "submit"], repository, **SMALL, **slurm.environment).stdout


def test_jobs_that_fail_are_stopped_killed_cancelled_or_lost(slurm, repository, tmp_path):
    edit_params(repository / "code/params.toml", ONE_MODEL)
    run(["git", "commit", "--quiet", "--all", "--message", "Ask for one model"], repository)
    hold, main = tmp_path / "hold", 'if __name__ == "__main__":\n'

    def make(target):
        return run(["make", target], repository, **SMALL, **slurm.environment).stdout

    def start():
        """Submit, and wait until the first job computes; return its id."""
        assert not list((tmp_path / "scratch").iterdir())
        hold.touch()
        assert f"{n_cells} job(s) submitted, 0 were there" in make("submit")
        first = min(int(id_) for id_, _ in slurm.jobs())
        slurm.wait_for(lambda: list((tmp_path / "scratch").glob("*/clone/.git/facepain/computing")))
        return str(first)

    def ended_without_a_trace(*said):
        slurm.wait_for(lambda: not slurm.jobs())
        status = make("status")
        assert f"0 of {n_cells} results are fresh" in status
        for words in said:
            assert re.search(words, status), status
        assert git(repository, "status", "--porcelain") == git(repository, "for-each-ref", "refs/facepain") == ""

    edit(repository, "code/prep.py", main, f"{main}    raise SystemExit('prep: a planted failure')\n")
    n_cells = int(re.search(r"(\d+) job\(s\) submitted", make("submit"))[1])
    ended_without_a_trace(
        r"prep +absent +job \d+ FAILED on n[12], .*\n.*never made\n +prep: a planted failure\n", r"plot .* CANCELLED"
    )
    assert list((tmp_path / "scratch").iterdir()) == []

    wait = "import pathlib, time\n    pathlib.Path('.git/facepain/computing').touch()\n"
    wait += f"    while pathlib.Path('{hold}').exists():\n        time.sleep(0.1)\n"
    edit(repository, "code/prep.py", "raise SystemExit('prep: a planted failure')\n", wait)
    slurm.ask("scancel", "--batch", "--signal=USR1", start())
    ended_without_a_trace(
        r"prep +absent +job \d+ FAILED.*\n.*\n +job: prep was stopped after \d of \d+ min; nothing of it was kept. If "
        r'the time was too short, ask for more in code/cluster.toml: \[cells."prep"\] minutes = \d+; then `make submit`'
    )
    assert list((tmp_path / "scratch").iterdir()) == []

    slurm.ask("scancel", "--full", "--signal=KILL", start())
    ended_without_a_trace(r"prep +absent +job \d+ (FAILED|CANCELLED)")
    # Nothing can tidy up after itself then: clusters remove a job's folder.
    shutil.rmtree(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()

    first = start()
    node = next(line[1] for line in slurm.jobs("%i %N") if line[0] == first)
    slurm.lose(node)
    slurm.wait_for(lambda: [first, "PENDING"] in slurm.jobs())
    # Slurm would give the lost node two minutes.
    slurm.ask("scontrol", "update", f"JobId={first}", "StartTime=now")
    slurm.wait_for(lambda: [first, "n2" if node == "n1" else "n1"] in slurm.jobs("%i %N"))
    assert f"0 job(s) submitted, {n_cells} were there" in make("submit")
    other = slurm.ask("sbatch", "--parsable", "--hold", f"--chdir={tmp_path}", "--wrap", "sleep 600")
    hold.unlink()
    # The lost job, which nobody tells to end, hands over the same.
    slurm.wait_for(lambda: first not in [id_ for id_, _ in slurm.jobs()])
    assert f"{n_cells - 1} job(s) cancelled" in make("cancel")
    slurm.wait_for(lambda: [id_ for id_, _ in slurm.jobs()] == [other])
    status = make("status")
    assert re.search(r"prep +fresh +job \d+ COMPLETED", status) and re.search(r"M1 +absent +job \d+ CANCELLED", status)
    assert git(repository, "log", "--format=%s", "--", "outputs/prep") == "[DATALAD RUNCMD] prep"
    assert git(repository, "status", "--porcelain") == git(repository, "for-each-ref", "refs/facepain") == ""
