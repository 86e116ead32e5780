"""The special remote `on-demand`, as git-annex starts it: asked for a key, it reruns the run that made its file."""

import os
import shutil
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from annexremote import Master, RemoteError, SpecialRemote, UnsupportedRequest

from errors import InputError
from provenance.on_demand.enable import result_keys
from provenance.records.runs import last_run
from provenance.repository import git
from provenance.run.recovery import SUPERVISOR, only_one, scratch_folder, scratch_folders
from provenance.verify.scratch import Scratch

REPLIES = 3  # file descriptor; standard output is left to whatever a run prints
COST = 1000  # git-annex asks the cheapest first: any store before this


def serve(study, cells, folder):
    """Answer git-annex until it has no more questions; it names files relative to the folder it was started in."""
    with os.fdopen(REPLIES, "w") as replies:
        master = Master(replies)
        remote = Recomputation(master, study, cells, Path(folder))
        master.LinkRemote(remote)
        with remote.folders:
            master.Listen()


class Recomputation(SpecialRemote):
    """Recompute the cell of a key in a scratch clone, and keep that until git-annex ends: it may want more of it."""

    def __init__(self, annex, study, cells, folder):
        super().__init__(annex)
        self.study, self.cells, self.folder = study, cells, folder
        self.keys, self.scratch, self.folders = None, None, ExitStack()

    def initremote(self):
        pass

    def prepare(self):
        self.keys = result_keys(self.cells)

    def getcost(self):
        return COST

    def checkpresent(self, key):
        return key in self.keys

    def transfer_retrieve(self, key, local_file):
        if key not in self.keys:
            raise RemoteError(f"{key} is no result of the present commit, only those are recomputed")
        if SUPERVISOR in os.environ:
            raise RemoteError("a run is at work and makes what it needs itself")
        try:
            with lines_to(self.annex.info), only_one():
                content = find_content(key) or self.recompute(key)
                shutil.copyfile(content, self.folder / local_file)
        except (InputError, OSError) as error:
            raise RemoteError(str(error)) from error

    def recompute(self, key):
        """Return the path of the content of a key, made again; stop if the run does not make the same bytes again."""
        cell, asked = self.keys[key]
        runs = {other.name: last_run(other) for other in self.cells}
        if runs[cell.name] is None:
            raise InputError(f"{cell.name} has no run record in this history; `make {cell.stage}` makes it")
        if self.scratch is None:
            self.folders.close()  # what an attempt that failed has left
            folder = self.folders.enter_context(scratch_folder("on-demand"))
            self.scratch = Scratch(folder / "clone", self.study, self.cells, runs)
        if cell.name not in self.scratch.graded:
            print(f"{cell.name}: recomputing by `{runs[cell.name].command}`", flush=True)
            self.scratch.recompute(cell)
        content = find_content(key)
        if content is None:
            missing, grades = {asked: ("the run does not write it",)}, self.scratch.graded[cell.name]
            path = next((path for path in (asked, cell.folder) if path in grades), asked)
            reason = ", ".join((missing | grades)[path])
            raise InputError(f"{path}: {reason}; `make {cell.stage}` makes it here and compares")
        return content

    def transfer_store(self, key, local_file):
        raise UnsupportedRequest("results are made here, not stored")

    def remove(self, key):
        raise RemoteError("nothing is stored here that could be removed")


@contextmanager
def lines_to(report):
    """Hand over every line that this process and its children print; DataLad hides their streams."""
    reading, writing = os.pipe()
    kept = os.dup(1), os.dup(2)

    def forward():
        with os.fdopen(reading) as lines:
            for line in lines:
                with suppress(OSError):  # git-annex is gone
                    report(line.rstrip())

    forwarding = threading.Thread(target=forward)
    forwarding.start()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, stream in enumerate(kept, 1):
            os.dup2(stream, number)
            os.close(stream)
        forwarding.join()


def find_content(key):
    """Return the path of a key's content in any clone in which a process recomputes, None if none has it."""
    for clone in (folder / "clone" for folder in scratch_folders("on-demand")):
        if content := git("annex", "contentlocation", key, check=False, root=clone):
            return clone / content
    return None
