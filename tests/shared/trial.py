"""Make a small synthetic study in a folder of its own and reproduce it there, to see in two minutes how it works."""

import os
import subprocess
import sys
from pathlib import Path

from repositories import ROOT, SMALL, make_repository, user_environment


def main():
    folder = Path(os.environ.get("TO") or ROOT.parent / f"{ROOT.name}-trial").resolve()
    if folder.exists():
        return f"trial: {folder} exists already; remove it, or name another folder with TO="
    print(f"trial: a small study, 14 participants and few permutations, in {folder}", flush=True)
    make_repository(folder)
    return subprocess.run(["make", "all"], cwd=folder, env=user_environment(**SMALL)).returncode


if __name__ == "__main__":
    sys.exit(main())
