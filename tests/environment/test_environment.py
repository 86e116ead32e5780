"""One environment, said twice: requirements.lock for pip, environment.yml for conda."""

import re
import subprocess
import sys
from importlib import metadata

import pytest
from repositories import ROOT

from errors import InputError
from provenance.environment import python as environment
from provenance.records.inputs import imported_modules, locked_versions, unconditional_pins

LOCK = (ROOT / "requirements.lock").read_text()
CONDA = (ROOT / "environment.yml").read_text()


def test_conda_lists_the_versions_of_the_lock():
    listed = dict(re.findall(r"^ +- ([A-Za-z0-9_.-]+)==(\S+)", CONDA, flags=re.MULTILINE))
    assert len(listed) >= 10
    locked = locked_versions(LOCK)
    assert listed == {name: locked[name] for name in listed}


def test_conda_lists_everything_that_the_project_imports():
    imported = set()
    for script in sorted((ROOT / "code").glob("*.py")):
        imported |= imported_modules(f"code/{script.name}")[1]
    direct = imported & set(locked_versions(LOCK))
    assert direct
    assert direct <= set(re.findall(r"^ +- ([A-Za-z0-9_.-]+)==", CONDA, flags=re.MULTILINE))


def test_the_lock_has_a_hash_for_every_package_and_names_no_host():
    blocks = re.split(r"^(?=[A-Za-z0-9_.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 30
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in LOCK and "index" not in LOCK.split("\n")[0]


def test_the_running_environment_is_the_locked_one():
    for name, version in unconditional_pins(LOCK).items():
        assert metadata.version(name) == environment.installed_version(name) == version
    assert environment.is_ready()


def test_an_environment_with_another_version_is_not_taken(monkeypatch):
    monkeypatch.setattr(environment, "VENV", ROOT / "elsewhere")
    monkeypatch.setattr(environment, "installed_version", lambda name: "0.0")
    assert not environment.is_ready()


def test_versions_that_a_cluster_built_are_taken_and_named(monkeypatch):
    monkeypatch.setattr(environment, "VENV", ROOT / "elsewhere")
    locked = metadata.version
    monkeypatch.setattr(
        environment, "installed_version", lambda name: locked(name) + "+computecanada" * (name == "numpy")
    )
    assert environment.is_ready()
    assert environment.rebuilt_packages() == [f"numpy {locked('numpy')}+computecanada"]


def test_git_annex_is_started_itself_with_what_its_package_brings(monkeypatch, tmp_path):
    venv = tmp_path / "it's a venv"
    package = venv / "lib/python3.11/site-packages/git_annex"
    package.mkdir(parents=True)
    (venv / "bin").mkdir()
    (package / "git-annex").write_text('#!/bin/sh\necho "$1" "$MAGIC"\n')
    (package / "git-annex").chmod(0o755)
    monkeypatch.setattr(environment, "VENV", venv)
    environment.start_annex_directly()
    moved = venv.rename(tmp_path / "moved")
    said = subprocess.run([moved / "bin/git-annex", "two words"], capture_output=True, text=True, check=True).stdout
    assert said == f"two words {moved}/bin/../lib/python3.11/site-packages/git_annex/magic.mgc\n"


@pytest.mark.slow
def test_a_folder_of_wheels_takes_the_place_of_the_index(monkeypatch, tmp_path, capsys):
    lock, venv, wheels = (tmp_path / name for name in ("some.lock", "venv", "wheels"))
    lock.write_text(re.search(r"^threadpoolctl==[^#]*?(?=^\S)", LOCK, re.MULTILINE | re.DOTALL)[0])
    (tmp_path / "code/locks").mkdir(parents=True)  # of what is added: packages of the lock, too
    added = re.search(r"^packaging==[^#]*?(?=^\S)", LOCK, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "code/locks/some.lock").write_text(lock.read_text() + added)
    for name, path in (("ROOT", tmp_path), ("LOCK", lock), ("VENV", venv), ("STAMP", venv / "installed.lock")):
        monkeypatch.setattr(environment, name, path)
    monkeypatch.setenv("TO", str(wheels))
    try:
        environment.make_wheelhouse()
    except InputError as error:
        pytest.skip(str(error))
    assert "wheels: 2 packages, " in capsys.readouterr().out
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WHEELS", str(wheels))
    environment.make_environment()
    assert environment.has_stamp() and list(venv.glob("lib/*/site-packages/threadpoolctl.py"))


def test_a_folder_without_packages_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WHEELS", str(tmp_path / "nowhere"))
    with pytest.raises(InputError) as error:
        environment.install_lock(environment.LOCK, tmp_path / "stamp")
    said = f"WHEELS={tmp_path}/nowhere is no folder with packages (*.whl), as `make wheelhouse` makes one"
    assert str(error.value) == said


def test_a_python_without_venv_names_the_mend(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "VENV", tmp_path / "venv")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named ensurepip >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(InputError, match=r"install its venv module .*python3-venv.*or use conda"):
        environment.make_environment()


@pytest.mark.parametrize("path", sorted((ROOT / "code/locks").glob("*.lock")), ids=lambda path: path.stem)
def test_what_is_added_to_the_environment_is_pinned_by_hashes_and_changes_none_of_it(path):
    text = path.read_text()
    added = dict(re.findall(r"^([\w.-]+)==(\S+) .*\\\n    --hash=sha256:", text, re.MULTILINE))
    assert len(added) == len(re.findall(r"^\S", text, re.MULTILINE)) > 1
    locked = locked_versions(LOCK)
    assert {name: version for name, version in added.items() if locked.get(name, version) != version} == {}
    assert "://" not in text and "@" not in text


def test_packages_are_not_added_to_an_environment_of_the_users(monkeypatch, tmp_path):
    (tmp_path / "code/locks").mkdir(parents=True)
    (tmp_path / "code/locks/some.lock").write_text("no-such-package==1.0 \\\n    --hash=sha256:00\n")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    with pytest.raises(InputError, match=r"the active environment lacks no-such-package; .*-r code/locks/some.lock"):
        environment.install_extra("some")
