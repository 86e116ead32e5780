"""Recompute cells in a clone apart, each from the very code, settings and inputs of its own run."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from errors import InputError
from provenance.annex.integrity import CORRUPT, REMOVED, find_alterations
from provenance.annex.setup import ensure_annex
from provenance.declare import RECORD, Study, upstream
from provenance.records.freshness import find_unpublished
from provenance.records.grading import DIFFERENT, IDENTICAL, NOT_VERIFIED, WITHIN, grade_outputs
from provenance.records.inputs import read_description
from provenance.repository import DATALAD, ROOT, git, input_datasets, object_ids, read_tree, subdataset_setting
from provenance.run.recovery import supervise
from provenance.verify.claims import declared_command, false_claims, unchanged_parts

NOT_HERE = "not verifiable here"
UNCOMMITTED = "its file is not committed"
# Else git-annex is asked about every file that git has just written.
UNFILTERED = [word for name in ("process", "clean", "smudge") for word in ("-c", f"filter.annex.{name}=")]


@dataclass
class Scratch:
    """A clone, made here, in which cells are recomputed, each at the commit of its own run; dicts are by cell name."""

    clone: Path
    study: Study
    cells: list  # all of the study, in order
    runs: dict  # RunRecord
    graded: dict = field(default_factory=dict)  # of what was recomputed, grade and detail by path
    made: dict = field(default_factory=dict)  # commits with the recomputed files
    unchanged: dict = field(default_factory=dict)  # as from `unchanged_parts`
    stand_ins: dict = field(default_factory=dict)  # by path: recomputed files that came out equal within tolerance

    def __post_init__(self):
        # Not by links, so that git computes the id of every object again; and as recorded, whatever grafts say.
        read = f"GIT_GRAFT_FILE={os.devnull}/none git upload-pack"
        git("clone", "--quiet", "--no-local", "--upload-pack", read, str(ROOT), str(self.clone), root=ROOT)
        ensure_annex(self.clone)
        # Inputs that are not here and come from nowhere that this repository names.
        absent = [path for path in input_datasets(root=self.clone) if not (ROOT / path / ".git").exists()]
        absent = [path for path in absent if not self.study.rebuilt(path.split("/")[1])]
        self.private = [path for path in absent if not subdataset_setting(path, "url", self.clone)]
        self.recorded = git("rev-parse", "HEAD")
        self.unpublished = {cell.name for cell in find_unpublished(self.cells, object_ids())}

    def recompute(self, cell):
        """Recompute a cell, and before it what it reads and nobody stores; grade its outputs."""
        run = self.runs[cell.name]
        self.unchanged[cell.name] = unchanged_parts(self.study, cell, run)
        private = self._private_sources(cell)
        obstacle = self._provide_inputs(cell, run)
        if obstacle:
            unknown = {cell.folder: (NOT_VERIFIED, obstacle)}
            self.graded[cell.name] = self._check_without_inputs(cell, private) if private else unknown
            return
        # The declared command and not the recorded one, which may be anything.
        command = ["run", "--explicit", "--assume-ready", "both", "-m", cell.name, "--output", cell.folder]
        command += [declared_command(cell, run.command)]
        if supervise([*DATALAD, *command], self.clone):
            git("reset", "--quiet", "--hard", run.commit, root=self.clone)
            failed = "its command failed at the commit of its run, see above"
            self.graded[cell.name] = {cell.folder: (DIFFERENT, failed)}
            return
        self.made[cell.name] = git("rev-parse", "HEAD", root=self.clone)
        grades = grade_outputs(cell.folder, self.recorded, root=self.clone, recorded_root=ROOT, strictly=True)
        if cell.name in self.unpublished:  # what was published is compared
            grades = {path: grade for path, grade in grades.items() if not cell.is_private(path)}
        within = [path for path, (grade, _) in grades.items() if grade == WITHIN]
        self.stand_ins |= {path: (self.clone / path).resolve() for path in within}
        for path, grade in self._grade_work_tree(cell).items():
            if grades.get(path, (IDENTICAL, ""))[0] in (IDENTICAL, WITHIN):
                grades[path] = grade
        grades |= false_claims(cell, self.runs[cell.name], self.unchanged[cell.name])
        # Where a file is named already, that says it.
        last = git("log", "-1", "--format=%H", self.recorded, "--", cell.folder)
        if last != run.commit and all(grade != DIFFERENT for grade, _ in grades.values()):
            grades[cell.folder] = (DIFFERENT, f"commit {last[:10]} changed it last, which is no run of it")
        self.graded[cell.name] = dict(sorted(grades.items()))

    def _private_sources(self, cell):
        """Return the input datasets that a cell's result was made from and that only their owner has."""
        further = (self._private_sources(other) for other in upstream(cell, self.cells))
        return set(self.private).intersection(cell.inputs).union(*further)

    def _check_without_inputs(self, cell, private):
        """Check what can be without recomputing: the run record, checksums, what follows from the own files."""
        reason = f"{' and '.join(sorted(private))} {'is' if len(private) == 1 else 'are'} private"
        recorded = object_ids(cell.folder, revision=self.recorded, root=self.clone)
        found = dict.fromkeys(recorded, (NOT_HERE, reason))
        found |= {path: (DIFFERENT, fault) for path, fault in self._find_alterations(cell).items()}
        for name, detail in self.study.contradictions(ROOT / cell.folder):
            found[f"{cell.folder}/{name}"] = (DIFFERENT, detail)
        found |= false_claims(cell, self.runs[cell.name], self.unchanged[cell.name])
        return dict(sorted(found.items()))

    def _provide_inputs(self, cell, run):
        """Put the clone to the state of a run, with the content that the cell reads; return what stands in the way."""
        if set(self.private).intersection(cell.inputs):
            return "its inputs are private"
        self._install_inputs(cell)
        self._check_out(cell, run)
        hidden = self._unpublished_inputs(cell, run)
        missing = [*self._fetch(cell), *hidden]
        producers = [other for other in self.cells if any(other.owns(path) for path in missing)]
        for producer in producers:
            if producer.name not in self.graded and self.runs[producer.name]:
                print(f"    {producer.name}: recomputing what {cell.name} reads", flush=True)
                self.recompute(producer)
                self._check_out(cell, run)
        if hidden:
            tracked = object_ids(root=self.clone)
            for other in self.cells:
                # Of all results: what shows some of them says whether these are up to date, by what they read.
                if other.name in self.made.keys() & self.unpublished and f"{other.folder}/{RECORD}" in tracked:
                    self._put_in_place(other)
        unmade = [path for path in hidden if not (self.clone / path).exists()]
        for path in [*self._fetch(cell), *unmade]:
            if path not in self.stand_ins:
                return f"it reads {path}, whose recorded bytes are nowhere and did not come out again"
            self._stand_in(path)
        # Unchanged is the rule; another state of the inputs is checked out only where this machine has it.
        return self._align_inputs()

    def _install_inputs(self, cell):
        """Put the inputs that a cell reads at their recorded commits: rebuilt if synthetic, else this repository's."""
        absent = {path.split("/")[1]: path for path in cell.inputs if not (self.clone / path / ".git").exists()}
        rebuilt = [name for name in absent if self.study.rebuilt(name)]
        for path in (path for name, path in absent.items() if name not in rebuilt):
            if not (ROOT / path / ".git").exists():
                raise InputError(f"{path} is not installed here; `make inputs` installs it")
            git("clone", "--quiet", str(ROOT / path), str(self.clone / path), root=ROOT)
            git("annex", "init", "--quiet", "scratch", root=self.clone / path)
            # Of every version, since a result may be of an earlier one; by hard links where the file system has them.
            linked = ("-c", "annex.hardlink=true", "annex", "get", "--all", "--quiet")
            git(*linked, check=False, root=self.clone / path)
            if lacking := git("annex", "find", "--not", "--in=here", root=self.clone / path).splitlines():
                raise InputError(f"{path}/{lacking[0]} is not here; `datalad get {path}` fetches it")
        if rebuilt:
            self._reset(self.recorded)
            self.study.rebuild(self.clone / "inputs", names=sorted(rebuilt))

    def _put_in_place(self, producer):
        """Commit the participant-level files that a recomputed cell made, all of them, by the record of their run.

        With some of them only, or by another commit, they would not count as its result.
        """
        commit = self.made[producer.name]
        private = filter(producer.is_private, object_ids(producer.folder, revision=commit, root=self.clone))
        git("checkout", "--quiet", commit, "--", *private, check=False, root=self.clone)
        self._commit(git("log", "-1", "--format=%B", commit, root=self.clone))

    def _unpublished_inputs(self, cell, run):
        """Return what a cell read that is not in this history, since it is participant level."""
        record = read_description(cell.folder, run.commit, self.clone)
        tracked = object_ids(revision=run.commit, root=self.clone)
        hidden = [other for other in self.cells if other.name in self.unpublished]
        absent = [path for path in record.get("data", ()) if path not in tracked]
        return [path for path in absent if any(other.owns(path) and other.is_private(path) for other in hidden)]

    def _check_out(self, cell, run):
        """Put the clone to the state of a run, with all of the present code if the result names this code and settings.

        Its run may have found other code around it, which the result does not name: what runs stages, or a module in
        place of one of a package.
        """
        self._reset(run.commit)
        git("clean", "-fdq", "--", "code", "outputs", "figures", root=self.clone)
        trees = {git("rev-parse", f"{revision}:code", root=self.clone) for revision in (run.commit, self.recorded)}
        if len(trees) > 1 and {"code", "settings", "results"} <= self.unchanged[cell.name]:
            git("rm", "-r", "--quiet", "--", "code", root=self.clone)
            git("checkout", "--quiet", self.recorded, "--", "code", root=self.clone)
            self._commit("Put the present code in place")

    def _reset(self, commit):
        # Where nothing was made yet no content is here for git-annex to put into unlocked files.
        git(*(UNFILTERED if not self.made else ()), "reset", "--quiet", "--hard", commit, root=self.clone)

    def _commit(self, message):
        git("commit", "--quiet", "--no-verify", "--message", message, check=False, root=self.clone)

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
            if not (here / ".git").exists() or git("rev-parse", "HEAD", root=here) == commit:
                continue
            git("checkout", "--quiet", commit, check=False, root=here)
            if git("rev-parse", "HEAD", root=here) != commit:
                return f"it was made from {path} at commit {commit[:10]}, which is not on this machine"
        return None

    def _find_alterations(self, cell):
        """Return what of a cell's files in the working tree is not as committed, whatever git ignores, by path."""
        recorded = read_tree(cell.folder, revision=self.recorded, root=self.clone)
        found = (path for path in (ROOT / cell.folder).rglob("*") if path.is_symlink() or not path.is_dir())
        here = {path.relative_to(ROOT).as_posix() for path in found}
        return dict.fromkeys(here - recorded.keys(), UNCOMMITTED) | find_alterations(recorded, objects=self.clone)

    def _grade_work_tree(self, cell):
        """Grade files that are not as committed, or whose content is broken, by what was recomputed."""
        from files.compare import compare_files  # only here: heavy packages

        found, recomputed = {}, object_ids(cell.folder, root=self.clone)
        for path, fault in self._find_alterations(cell).items():
            if path not in recomputed:
                found[path] = (DIFFERENT, "the run does not write it")
            elif fault in (REMOVED, UNCOMMITTED):
                found[path] = (DIFFERENT, fault)
            else:
                grade, detail = compare_files(ROOT / path, self.clone / path)
                is_broken = fault == CORRUPT
                found[path] = (DIFFERENT, f"{fault}: {detail}" if detail else fault) if is_broken else (grade, detail)
        return found
