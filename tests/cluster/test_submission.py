"""`make submit` on a real Slurm: the bytes of `make all`; failed, killed, lost and cancelled jobs leave no trace."""

import re
import shutil

import pytest
from repositories import SMALL, copy_repository, run
from slurm import Slurm

pytestmark = pytest.mark.slow
MINUTES = 30  # that a test waits at most, on a busy machine


@pytest.fixture
def slurm():
    with Slurm() as slurm:
        yield slurm


# In the machinery, which is no input of a result: a stage fails, or waits, as long as a file of its name says so.
FAULT = """\
        import time

        fault = "{faults}/" + cell.stage
        if os.path.exists(fault) and open(fault).read() == "fail":
            sys.exit(cell.stage + ": a planted failure")
        while os.path.exists(fault):
            open(".git/facepain/computing-" + cell.stage, "w").close()
            time.sleep(0.1)
"""


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    run(["git", "commit", "--quiet", "--all", "--message", f"Edit {name}"], folder)


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def take_over(repository, other, names):
    """Commit some results of another repository, with their records and content."""
    for name in names:
        made = git(other, "log", "--format=%H", "--grep", rf"^\[DATALAD RUNCMD\] {name}$")
        git(repository, "fetch", "--quiet", str(other), made)
        git(repository, "cherry-pick", made)
    for path in filter(lambda path: path.is_symlink(), (repository / "outputs").rglob("*")):
        content = path.parent / path.readlink()
        place = content.resolve().relative_to(repository.resolve()).parent
        shutil.copytree(other / place, repository / place, dirs_exist_ok=True)
    git(repository, "annex", "fsck", "--quiet", "--fast", "outputs")


def test_results_by_jobs_have_the_bytes_of_make_all_and_jobs_that_end_otherwise_leave_no_trace(
    slurm, finished_study, tmp_path
):
    local = finished_study[0]
    repository = copy_repository(local.parent / "source", tmp_path / "hub")
    # Jobs go on from what is there. Each job costs seconds; those left out do what others of their stage do.
    there = ["prep", "extract whole-brain", *(f"regress whole-brain {name}" for name in ("lasso", "ridge", "svr"))]
    there += ["extract M1", "regress M1 ridge", "regress M1 svr"]
    take_over(repository, local, there)
    scratch, faults = tmp_path / "scratch", tmp_path / "faults"
    scratch.mkdir()
    faults.mkdir()
    edit(repository, "code/cluster.toml", 'scratch = ""', f'scratch = "{scratch}"')
    computes = "        outputs = OutputFolder("
    edit(repository, "code/provenance/run/stage.py", computes, FAULT.format(faults=faults) + computes)
    before = git(repository, "rev-parse", "HEAD")
    cells = git(local, "log", "--format=%s", "--grep", "DATALAD RUNCMD").splitlines()

    def make(target, check=True, **options):
        options = SMALL | {"N_JOBS": "2"} | slurm.environment | options
        return run(["make", target], repository, check, **options).stdout

    def wait_for(condition):
        slurm.wait_for(condition, 60 * MINUTES)

    def computing(name):
        return list(scratch.glob(f"*/clone/.git/facepain/computing-{name}"))

    def assert_no_trace():
        assert git(repository, "status", "--porcelain") == git(repository, "for-each-ref", "refs/facepain") == ""
        # What was killed outright may leave its clone: clusters remove a job's folder.
        assert set(scratch.iterdir()) <= left

    for name, fault in {"classify": "fail", "signatures": "wait", "tune": "wait", "occurrence": "wait"}.items():
        (faults / name).write_text(fault)
    said = make("submit")
    assert f"{len(cells) - len(there)} job(s) submitted, 0 were there" in said
    assert re.search(r"similarity M1 lasso: job \d+, \d+ min, \d+ MB, 1 core\(s\), after \d+\n", said)
    jobs = dict(re.findall(r"^(\w+).*: job (\d+), .* min", said, re.MULTILINE))
    wait_for(lambda: computing("signatures"))
    assert re.search(
        r"submit: job \d+ makes .* on branch main by `.* --n-permutations 20.*`; this would be on branch main by "
        r"`.* --n-permutations 30.*`: wait until such jobs end, or `make cancel`, then `make submit`\n",
        make("submit", check=False, N_PERMUTATIONS="30"),
    )
    slurm.ask("scancel", "--batch", "--signal=USR1", jobs["signatures"])
    wait_for(lambda: computing("tune"))
    left = {path.parents[3] for path in computing("tune")}
    slurm.ask("scancel", "--full", "--signal=KILL", jobs["tune"])

    lost = jobs["occurrence"]
    wait_for(lambda: computing("occurrence"))
    node = next(line[1] for line in slurm.jobs("%i %N") if line[0] == lost)
    slurm.lose(node)
    wait_for(lambda: [lost, "PENDING"] in slurm.jobs())
    # Slurm would give the lost node two minutes.
    slurm.ask("scontrol", "update", f"JobId={lost}", "StartTime=now")
    wait_for(lambda: len(computing("occurrence")) == 2)
    (faults / "occurrence").unlink()
    # The lost job, which nobody tells to end, hands over the same.
    wait_for(lambda: not slurm.jobs() and set(scratch.iterdir()) <= left)

    status = make("status")
    for words in (
        r"classify .* +absent +job \d+ FAILED on n[12], .*\n.*\n +classify: a planted failure\n",
        r"signatures +absent +job \d+ FAILED on n[12], .*\n.*\n +job: signatures was stopped after \d+ of \d+ min; "
        r"nothing of it was kept. If the time was too short, write the line `minutes = \d+` below the line "
        r'`\[cells."signatures"\]` in code/cluster.toml, commit it, then `make submit`\n',
        r"tune .* +absent +job \d+ (FAILED|CANCELLED)",
        r"occurrence .* +fresh +job \d+ COMPLETED on n[12]",
        r"plot +absent +job \d+ CANCELLED",
    ):
        assert re.search(words, status), status
    assert f"{len(cells) - 4} of {len(cells)} results are fresh" in status, status
    assert git(repository, "log", "--format=%s", "--", "outputs/occurrence") == "[DATALAD RUNCMD] occurrence M1"
    assert_no_trace()

    # A result that nobody's run made is made again.
    table = next((repository / "outputs/occurrence/M1").glob("*.tsv"))
    table.write_text(table.read_text().replace("0.", "1."))
    git(repository, "commit", "--quiet", "--all", "--message", "Improve a number")
    (faults / "classify").unlink()
    assert "5 job(s) submitted, 0 were there" in make("submit")
    other = slurm.ask("sbatch", "--parsable", "--hold", f"--chdir={tmp_path}", "--wrap", "sleep 600")
    wait_for(lambda: computing("signatures"))
    assert "4 job(s) cancelled" in make("cancel")
    wait_for(lambda: [id_ for id_, _ in slurm.jobs()] == [other])
    assert re.search(r"signatures +absent +job \d+ (CANCELLED|FAILED)", make("status"))
    assert_no_trace()

    for name in ("signatures", "tune"):
        (faults / name).unlink()
    assert "4 job(s) submitted, 0 were there" in make("submit")
    wait_for(lambda: [id_ for id_, _ in slurm.jobs()] == [other])
    status = make("status")
    assert f"{len(cells)} of {len(cells)} results are fresh" in status, status
    assert re.search(r"regress M1 lasso +fresh +job \d+ COMPLETED on n[12], \d+:\d\d", status)
    for results in ("outputs", "figures"):
        assert git(repository, "rev-parse", f"HEAD:{results}") == git(local, "rev-parse", f"HEAD:{results}")
    assert_no_trace()
    assert not git(repository, "log", "--merges")
    made = git(repository, "log", "--format=%s", "--", "outputs/occurrence").splitlines()
    assert made == ["[DATALAD RUNCMD] occurrence M1", "Improve a number", "[DATALAD RUNCMD] occurrence M1"]
    records = {repo: git(repo, "log", "--format=%B%x00", "--grep", "DATALAD RUNCMD") for repo in (repository, local)}
    records = {repo: set(map(str.strip, text.split("\0"))) for repo, text in records.items()}
    assert records[repository] == records[local]
    assert git(repository, "rev-list", "--count", f"{before}..HEAD") == str(len(cells) - len(there) + 2)
    # No clone that is gone is known, and the content is known to be here.
    assert len(git(repository, "cat-file", "blob", "git-annex:uuid.log").splitlines()) == 1
    assert "1 copy" in git(repository, "annex", "whereis", "outputs/regress/M1/lasso/weights_final.nii.gz")
    assert "0 job(s) submitted" in make("submit")
