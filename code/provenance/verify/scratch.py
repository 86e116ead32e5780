"""Recompute cells in a clone apart, each from the very code, settings and inputs of its own run."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from errors import InputError
from provenance.annex.integrity import is_corrupt
from provenance.annex.setup import ensure_annex
from provenance.declare import Study
from provenance.records.grading import grade_files, grade_outputs
from provenance.repository import ROOT, changed_files, git, input_datasets, object_ids
from provenance.run.supervision import supervise

IDENTICAL, WITHIN, DIFFERENT, NOT_VERIFIED = "identical", "equal within tolerance", "different", "not verified"


@dataclass
class Scratch:
    """A clone in which cells are recomputed, each at the commit of its own run.

    Attributes
    ----------
    clone : Path
        Where it lies; made here.
    study : Study
    cells : list of Cell
        All of the study, in order.
    runs : dict of str to RunRecord
        By cell name.
    graded : dict of str to list of tuple (path, grade, detail)
        Filled as cells are recomputed.
    stand_ins : dict of str to Path
        Recomputed content of files that came out equal within tolerance.
    """

    clone: Path
    study: Study
    cells: list
    runs: dict
    graded: dict = field(default_factory=dict)
    stand_ins: dict = field(default_factory=dict)

    def __post_init__(self):
        git("clone", "--quiet", str(ROOT), str(self.clone), root=ROOT)
        ensure_annex(self.clone)
        _install_inputs(self.clone, self.study)
        self.recorded = git("rev-parse", "HEAD")

    def recompute(self, cell):
        """Recompute a cell, and before it what it reads and nobody stores; grade its outputs."""
        run = self.runs[cell.name]
        obstacle = self._provide_inputs(cell, run)
        if obstacle:
            self.graded[cell.name] = [(cell.folder, NOT_VERIFIED, obstacle)]
            return
        code = supervise(["datalad", "-l", "error", "-f", "disabled", "rerun", run.commit], self.clone)
        if code:
            git("reset", "--quiet", "--hard", run.commit, root=self.clone)
            self.graded[cell.name] = [(cell.folder, DIFFERENT, "its run record cannot be rerun, see above")]
            return
        grades = grade_outputs(cell.folder, self.recorded, root=self.clone, recorded_root=ROOT, strictly=True)
        within = [path for path, (grade, _) in grades.items() if grade == WITHIN]
        self.stand_ins |= {path: (self.clone / path).resolve() for path in within}
        grades |= self._grade_work_tree(cell, grades)
        self.graded[cell.name] = [(path, *grade) for path, grade in sorted(grades.items())]

    def _provide_inputs(self, cell, run):
        """Put the clone to the state of a run, with the content that the cell reads; return what stands in the way."""
        self._check_out(run.commit)
        missing = self._fetch(cell)
        producers = [other for other in self.cells if any(other.owns(path) for path in missing)]
        for producer in producers:
            if producer.name not in self.graded and self.runs[producer.name]:
                print(f"    {producer.name}: recomputing what {cell.name} reads", flush=True)
                self.recompute(producer)
        self._check_out(run.commit)
        for path in self._fetch(cell):
            if path not in self.stand_ins:
                return f"it reads {path}, whose recorded bytes are nowhere and did not come out again"
            self._stand_in(path)
        # Unchanged is the rule; another state of the inputs is checked out only where this machine has it.
        return self._align_inputs()

    def _check_out(self, commit):
        git("reset", "--quiet", "--hard", commit, root=self.clone)
        git("clean", "-fdq", "--", "outputs", "figures", root=self.clone)

    def _fetch(self, cell):
        """Fetch what a cell reads of other cells; return the paths whose content is nowhere."""
        outputs = object_ids("outputs", root=self.clone)
        read = [path for path in outputs if cell.is_read(path)]
        git("annex", "get", "--quiet", "--", *read, check=False, root=self.clone) if read else None
        return [path for path in read if not (self.clone / path).exists()]

    def _stand_in(self, path):
        """Let a recomputed file, equal within tolerance, stand for the recorded one that nobody has, under its name."""
        link = self.clone / path
        target = link.parent / link.readlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.stand_ins[path], target)

    def _align_inputs(self):
        for path, commit in input_datasets(root=self.clone).items():
            here = self.clone / path
            if git("rev-parse", "HEAD", root=here) == commit:
                continue
            git("checkout", "--quiet", commit, check=False, root=here)
            if git("rev-parse", "HEAD", root=here) != commit:
                return f"it was made from {path} at commit {commit[:10]}, which is not on this machine"
        return None

    def _grade_work_tree(self, cell, grades):
        """Grade files that differ from their last commit, or whose content here does not fit its checksum."""
        found = {}
        recomputed = object_ids(cell.folder, root=self.clone)
        for line in changed_files():
            path = line[3:]
            if not cell.owns(path):
                continue
            if path not in recomputed:
                found[path] = (DIFFERENT, "the run does not write it")
            elif not (ROOT / path).is_file():
                found[path] = (DIFFERENT, "its file was removed")
            else:
                found[path] = grade_files(ROOT / path, self.clone / path)
        for path in grades.keys() - found.keys():
            if grades[path][0] == IDENTICAL and is_corrupt(ROOT / path):
                problem = "its content here does not fit its checksum"
                grade, detail = grade_files(ROOT / path, self.clone / path)
                found[path] = (DIFFERENT, f"{problem}: {detail}" if grade == DIFFERENT else problem)
        return found


def _install_inputs(clone, study):
    """Put the inputs at their recorded commits: rebuilt where they are synthetic, else from this repository's."""
    rebuilt = []
    for path in input_datasets(root=clone):
        name = path.split("/")[1]
        if study.rebuilt(name):
            rebuilt.append(name)
            continue
        source = ROOT / path
        if not (source / ".git").exists():
            raise InputError(f"{path} is not installed here; `make inputs` installs it")
        git("clone", "--quiet", str(source), str(clone / path), root=ROOT)
        git("annex", "init", "--quiet", "scratch", root=clone / path)
    if rebuilt:
        study.rebuild(clone / "inputs", names=sorted(rebuilt))
