"""Run records are read as DataLad reads them, whatever else a commit message holds."""

import subprocess

from datalad.local.rerun import get_run_info

from provenance.publish.history import write_message
from provenance.records.inputs import imported_modules
from provenance.records.runs import CLOSING, OPENING, find_runs, parse_record

RECORD = {"cmd": "python code/prep.py", "inputs": [], "outputs": ["outputs/prep"]}


def message(command="python code/prep.py"):
    return write_message(RECORD | {"cmd": command}, "[DATALAD RUNCMD] prep")


def test_a_record_is_what_datalad_would_rerun():
    assert parse_record(message()) == get_run_info(None, message())[1]
    # DataLad reruns the second of two records, and none behind another title.
    two = message() + message("touch forged").partition("prep")[2]
    assert get_run_info(None, two)[1]["cmd"] == "touch forged" and parse_record(two) is None
    behind = "Merge\n\n" + message()
    assert get_run_info(None, behind)[1] is None and parse_record(behind) is None
    assert parse_record(message().replace(CLOSING, "")) is None and parse_record(OPENING) is None


def test_characters_that_no_text_has_end_no_message(tmp_path):
    for words in (["init", "--quiet"], ["config", "user.name", "x"], ["config", "user.email", "x@x"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    for text in (message(), "Forge\n\n\x1e" + "0" * 40 + "\x1f2020-01-01\x1f" + message("touch forged")):
        command = ["git", "commit", "--quiet", "--allow-empty", "--file", "-"]
        subprocess.run(command, cwd=tmp_path, input=text, text=True, check=True)
    assert [run.command for run in find_runs(".", root=tmp_path)] == []
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/a").write_text("a")
    subprocess.run(["git", "add", "outputs"], cwd=tmp_path, check=True)
    subprocess.run([*command[:3], "--file", "-"], cwd=tmp_path, input=message() + "\x1e\x1f", text=True, check=True)
    assert [run.command for run in find_runs("outputs", root=tmp_path)] == ["python code/prep.py"]


def test_what_python_imports_in_place_of_its_own_modules_is_recorded(tmp_path):
    """Libraries import ``random`` and ``joblib``, although no module here does; what is compiled goes first."""
    sources = {
        "prep.py": "import errors",
        "errors.py": "",
        "other.py": "",
        "random.py": "import other",
        "joblib/a.py": "",
    }
    for name, text in sources.items() | {("errors.cpython-311.so", "\0")}:
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    (tmp_path / "requirements.lock").write_text("joblib==1.5.3 \\\n")
    expected = [f"code/{name}" for name in sorted([*sources, "errors.cpython-311.so"])]
    assert imported_modules("code/prep.py", tmp_path)[0] == expected
    (tmp_path / "code/random.py").unlink()
    assert "code/other.py" not in imported_modules("code/prep.py", tmp_path)[0]


EVERYWHERE = """
def f():
    import a1
    async def g():
        async with x: import a2
    try: from a3 import b
    except* E: import a4
    else: import a5
    finally: import a6
class C:
    for i in x: import a7
    else:
        while x: import a8
match x:
    case [1, *_] if x: import a9
with x, y: import a10
x = 1; import a11
if x: pass
elif y: import a12
else:
    try: pass
    except E: import a13
"""


def test_an_import_is_seen_wherever_it_stands(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/prep.py").write_text(EVERYWHERE)
    assert imported_modules("code/prep.py", tmp_path)[1] == {f"a{number}" for number in range(1, 14)}


def test_relative_imports_are_followed(tmp_path):
    relative = "from .d import x\nfrom . import e\nfrom ..f import y"
    sources = {"a/b/c.py": relative, "a/b/d.py": "", "a/b/e.py": "", "a/f.py": "import prep"}
    for name, text in (sources | {"prep.py": "import a.b.c"}).items():
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(text)
    found, packages = imported_modules("code/prep.py", tmp_path)
    assert found == [f"code/{name}" for name in sorted([*sources, "prep.py"])] and packages == set()
