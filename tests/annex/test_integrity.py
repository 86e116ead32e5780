"""Files as they lie here are compared with what is recorded, however git is told to look at them."""

import hashlib
import subprocess

import pytest

from provenance.annex.integrity import CHANGED, REMOVED, find_alterations
from provenance.repository import read_tree

KEY = f"SHA256E-s7--{hashlib.sha256(b'content').hexdigest()}.tsv"


@pytest.fixture
def repository(tmp_path):
    """A repository that records an unlocked annexed file and a plain one."""
    for name, text in (("unlocked.tsv", f"/annex/objects/{KEY}\n"), ("plain.txt", "plain")):
        (tmp_path / name).write_text(text)
    identity = ["-c", "user.name=A tester", "-c", "user.email=tester@example.invalid"]
    for arguments in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message", "Record"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def alterations(repository):
    return find_alterations(read_tree(root=repository), repository, repository)


@pytest.mark.parametrize("text", [f"/annex/objects/{KEY}\n", f"/annex/objects/{KEY}", "content"])
def test_an_unlocked_file_names_its_content_or_holds_it(repository, text):
    (repository / "unlocked.tsv").write_text(text)
    assert alterations(repository) == {}


@pytest.mark.parametrize(
    "text", ["other", f"/annex/objects/SHA256E-s1--{'0' * 64}.tsv\n", f"/annex/objects/a\nb\n/annex/objects/{KEY}\n"]
)
def test_what_only_ends_like_a_pointer_is_altered(repository, text):
    (repository / "unlocked.tsv").write_text(text)
    assert alterations(repository) == {"unlocked.tsv": CHANGED}


def test_links_to_nowhere_and_folders_are_altered(repository):
    for name in ("unlocked.tsv", "plain.txt"):
        (repository / name).unlink()
    (repository / "unlocked.tsv").symlink_to("nowhere")
    (repository / "plain.txt").mkdir()
    assert alterations(repository) == {"unlocked.tsv": CHANGED, "plain.txt": REMOVED}
