"""`make submit` on a real Slurm: the bytes of `make all`; failed, killed, lost and cancelled jobs leave no trace."""

import re

import pytest
from repositories import SMALL, copy_repository, run
from slurm import Slurm

pytestmark = pytest.mark.slow
MINUTES = 30  # that a test waits at most, on a busy machine


@pytest.fixture
def slurm():
    with Slurm() as slurm:
        yield slurm


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    run(["git", "commit", "--quiet", "--all", "--message", f"Edit {name}"], folder)


def set_scratch(folder, tmp_path):
    """Let the jobs work below a folder of the test."""
    (tmp_path / "scratch").mkdir()
    edit(folder, "code/cluster.toml", 'scratch = ""', f'scratch = "{tmp_path}/scratch"')


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def test_all_cells_by_jobs_have_the_bytes_of_make_all(slurm, finished_study, tmp_path):
    local = finished_study[0]
    repository = copy_repository(local.parent / "source", tmp_path / "hub")
    set_scratch(repository, tmp_path)
    before = git(repository, "rev-parse", "HEAD")
    said = run(["make", "submit"], repository, **SMALL, N_JOBS="2", **slurm.environment).stdout
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


def test_jobs_that_fail_are_stopped_killed_lost_or_cancelled_leave_no_trace(slurm, study, tmp_path):
    set_scratch(study, tmp_path)
    hold = tmp_path / "hold"
    hold.touch()
    wait = "import pathlib, time\n    pathlib.Path('.git/facepain/computing-{name}').touch()\n"
    wait += f"    while pathlib.Path('{hold}').exists():\n        time.sleep(0.1)\n"
    fail = "raise SystemExit('classify: a planted failure')\n"
    for name, planted in (("classify", fail), ("signatures", wait), ("tune", wait), ("occurrence", wait)):
        main = 'if __name__ == "__main__":\n'
        edit(study, f"code/{name}.py", main, f"{main}    {planted.format(name=name)}")

    def make(target):
        return run(["make", target], study, **SMALL, **slurm.environment).stdout

    def computing(name):
        return list((tmp_path / "scratch").glob(f"*/clone/.git/facepain/computing-{name}"))

    jobs = dict(re.findall(r"^(\w+).*: job (\d+), .* min", make("submit"), re.MULTILINE))
    assert list(jobs) == ["classify", "signatures", "tune", "occurrence", "plot"]
    slurm.wait_for(lambda: computing("signatures"))
    slurm.ask("scancel", "--batch", "--signal=USR1", jobs["signatures"])
    slurm.wait_for(lambda: computing("tune"))
    slurm.ask("scancel", "--full", "--signal=KILL", jobs["tune"])

    lost = jobs["occurrence"]
    slurm.wait_for(lambda: computing("occurrence"))
    node = next(line[1] for line in slurm.jobs("%i %N") if line[0] == lost)
    slurm.lose(node)
    slurm.wait_for(lambda: [lost, "PENDING"] in slurm.jobs())
    # Slurm would give the lost node two minutes.
    slurm.ask("scontrol", "update", f"JobId={lost}", "StartTime=now")
    slurm.wait_for(lambda: len(computing("occurrence")) == 2)
    hold.unlink()
    # The lost job, which nobody tells to end, hands over the same.
    slurm.wait_for(lambda: not slurm.jobs() and not computing("occurrence"))

    status = make("status")
    for words in (
        r"classify .* +stale +job \d+ FAILED on n[12], .*\n.*\n +classify: a planted failure\n",
        r"signatures +stale +job \d+ FAILED on n[12], .*\n.*\n +job: signatures was stopped after \d of \d+ min; "
        r"nothing of it was kept. If the time was too short, ask for more in code/cluster.toml: "
        r'\[cells."signatures"\] minutes = \d+; then `make submit`\n',
        r"tune .* +stale +job \d+ (FAILED|CANCELLED)",
        r"occurrence .* +fresh +job \d+ COMPLETED on n[12]",
        r"plot +stale +job \d+ CANCELLED",
    ):
        assert re.search(words, status), status
    made = git(study, "log", "--format=%s", "--", "outputs/occurrence").splitlines()
    assert made == ["[DATALAD RUNCMD] occurrence M1"] * 2  # before, and once by these jobs
    assert git(study, "status", "--porcelain") == git(study, "for-each-ref", "refs/facepain") == ""
    # What was killed outright may leave its clone: clusters remove a job's folder.
    assert list((tmp_path / "scratch").iterdir()) == [path.parents[3] for path in computing("tune")]

    hold.touch()
    assert "4 job(s) submitted, 0 were there" in make("submit")
    other = slurm.ask("sbatch", "--parsable", "--hold", f"--chdir={tmp_path}", "--wrap", "sleep 600")
    # Until one has failed, and what reads its result is gone.
    slurm.wait_for(lambda: len(slurm.jobs()) == 3)
    assert "2 job(s) cancelled" in make("cancel")
    slurm.wait_for(lambda: [id_ for id_, _ in slurm.jobs()] == [other])
    assert re.search(r"signatures +stale +job \d+ (CANCELLED|FAILED)", make("status"))
    assert git(study, "status", "--porcelain") == git(study, "for-each-ref", "refs/facepain") == ""
