"""The crate for others: its public profile accepts it, every output traces to the inputs, nobody is given away."""

import hashlib
import json
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import unquote

import pytest
from repositories import ROOT, SMALL, run, small_cells
from requests import Request
from requests_cache import CachedSession
from requests_cache.models import CachedRequest, CachedResponse
from rocrate.rocrate import ROCrate
from rocrate_validator import models, services

from provenance.repository import input_datasets
from stages import STUDY

pytestmark = pytest.mark.slow

METADATA = "ro-crate-metadata.json"
CONTEXT = json.loads((ROOT / "tests/shared/ro_crate_1_1_context.json").read_text())
# What the validator recommends beyond, and why it is left: no organisation publishes a crate that anybody may export,
# none has an address, and a package's own name (pkg:pypi/...) is a URI although it does not begin with http.
LEFT = {
    "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    "The organization SHOULD have a URL.",
    "The SoftwareApplication id SHOULD be an absolute URI",
}


@pytest.fixture(scope="module")
def crate(finished_study, tmp_path_factory):
    """A crate of the finished study; tests must not change it."""
    folder = tmp_path_factory.mktemp("crate") / "crate"
    said = run(["make", "crate", f"TO={folder}"], finished_study[0], **SMALL).stdout
    assert f"{len(small_cells())} runs" in said
    return folder


@pytest.fixture
def changed(crate, tmp_path):
    """A copy of the crate that a test may change."""
    return Path(shutil.copytree(crate, tmp_path / "changed"))


def read_graph(folder):
    """Return the entities of a crate by identifier."""
    entities = json.loads((folder / METADATA).read_text())["@graph"]
    assert len({entity["@id"] for entity in entities}) == len(entities)
    return {entity["@id"]: entity for entity in entities}


def referred(entity, name):
    """Return the identifiers that a property refers to."""
    values = entity.get(name, [])
    return [value["@id"] for value in (values if isinstance(values, list) else [values])]


def list_tracked(folder, *paths):
    return run(["git", "ls-files", "--", *paths], folder).stdout.splitlines()


def validate(folder, level, cache):
    """Hold a crate against the profile, offline: the terms of RO-Crate are put where the validator keeps a download."""
    with CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        url, content = CONTEXT["@id"], json.dumps({"@context": CONTEXT["@context"]}).encode()
        asked, kind = CachedRequest(method="GET", url=url), {"Content-Type": "application/ld+json"}
        response = CachedResponse(url=url, status_code=200, content=content, headers=kind, request=asked)
        session.cache.save_response(response, session.cache.create_key(Request("GET", url).prepare()))
    settings = services.ValidationSettings(
        rocrate_uri=str(folder), profile_identifier="process-run-crate", offline=True, cache_path=cache,
        requirement_severity=models.Severity[level],
    )  # fmt: skip
    return services.validate(settings)


def test_the_public_profile_accepts_it(crate, tmp_path):
    result = validate(crate, "RECOMMENDED", tmp_path / "cache")
    # Nothing is passed because nothing was looked at.
    assert len(result.executed_checks) > 90 and not result.skipped_checks
    required = [issue.message for issue in result.get_issues() if issue.severity == models.Severity.REQUIRED]
    assert required == []
    assert {issue.message for issue in result.get_issues()} <= LEFT


def test_the_profile_refuses_a_run_without_program_and_a_file_that_is_not_there(changed, tmp_path):
    metadata = json.loads((changed / METADATA).read_text())
    for entity in metadata["@graph"]:
        if entity.get("name") == "regress M1 lasso":
            del entity["instrument"]
    (changed / METADATA).write_text(json.dumps(metadata))
    (changed / "outputs/regress/M1/lasso/metrics.tsv").unlink()
    said = " ".join(issue.message for issue in validate(changed, "REQUIRED", tmp_path / "cache").get_issues())
    assert "MUST have an instrument property" in said
    assert "does not include the Data Entity 'outputs/regress/M1/lasso/metrics.tsv'" in said


def test_every_output_traces_to_input_commits(crate, finished_study):
    folder, graph = finished_study[0], read_graph(crate)
    made_by = {}
    for action in graph.values():
        for result in referred(action, "result"):
            assert result not in made_by, "a file is made by one run"
            made_by[result] = action
    names = {unquote(identifier.lstrip("#")): identifier for identifier in made_by}
    assert set(names) == set(list_tracked(folder, "outputs", "figures"))
    commits = {
        f"#{path}": run(["git", "rev-parse", f"HEAD:{path}"], folder).stdout.strip() for path in input_datasets()
    }

    def trace(identifier):
        if identifier in made_by:
            return set().union(*(trace(read) for read in referred(made_by[identifier], "object")))
        entity = graph[identifier]
        assert entity["@type"] in ("Dataset", "PropertyValue"), f"{identifier} comes from nowhere"
        return {(identifier, entity["version"])} if entity["@type"] == "Dataset" else set()

    for path, identifier in names.items():
        expected = {"#inputs/behavior", "#inputs/contrasts"}
        expected |= set() if path.startswith("outputs/prep/") else {"#inputs/masks"}
        stages_of_signatures = ("signatures", "similarity", "expression", "relate", "participants")
        if path.startswith(("figures/", *(f"outputs/{stage}/" for stage in stages_of_signatures))):
            expected.add("#inputs/signatures")
        assert trace(identifier) == {(name, commits[name]) for name in expected}, path


def test_every_run_is_the_last_of_its_result_and_read_what_the_record_says(crate, finished_study):
    folder, graph = finished_study[0], read_graph(crate)
    actions = [entity for entity in graph.values() if entity["@type"] == "CreateAction"]
    assert (
        len(actions) == len(list_tracked(folder, "outputs/**/inputs.json", "figures/inputs.json")) == len(small_cells())
    )
    for action in actions:
        result = "figures" if action["name"] == "plot" else "/".join(("outputs", *action["name"].split()))
        commit = run(["git", "log", "-1", "--format=%H", "--", result], folder).stdout.strip()
        assert action["identifier"] == commit
        read = [graph[name] for name in referred(action, "object")]
        data = {entity["name"] for entity in read if entity["@type"] != "PropertyValue"}
        assert data == set(json.loads((folder / result / "inputs.json").read_text())["data"]), result


def test_a_run_tells_its_record(crate, finished_study):
    folder, graph = finished_study[0], read_graph(crate)
    action = graph["#run/regress%20M1%20lasso"]
    date = run(["git", "log", "-1", "--format=%ct", "--", "outputs/regress/M1/lasso"], folder).stdout.strip()
    assert run(["date", "-u", "-d", action["endTime"], "+%s"], folder).stdout.strip() == date
    assert action["description"].endswith("python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10")
    assert graph[action["agent"]["@id"]] == {"@id": "#agent/A%20tester", "@type": "Person", "name": "A tester"}
    record = json.loads((folder / "outputs/regress/M1/lasso/inputs.json").read_text())
    read = [graph[name] for name in referred(action, "object")]
    settings = {entity["name"]: entity["value"] for entity in read if entity["@type"] == "PropertyValue"}
    assert settings["permutation.n"] == "20" and settings["cross_validation.scheme"] == "group-shuffle"
    program = graph[action["instrument"]["@id"]]
    parts = {part: graph[part]["version"] for part in referred(program, "hasPart")}
    assert parts | {program["@id"]: program["version"]} == record["code"]
    packages = [graph[package] for package in referred(program, "softwareRequirements")]
    assert {package["name"]: package["softwareVersion"] for package in packages} == record["packages"]


def test_checksums_and_sizes_are_those_of_the_files(crate, finished_study):
    graph = read_graph(crate)
    files = {key: entity for key, entity in graph.items() if "File" in entity["@type"]}
    copied = {unquote(key) for key in files if not key.startswith("#")}
    assert {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()} == copied | {METADATA}
    for key, entity in files.items():
        if STUDY.is_private(entity["name"]):
            assert "sha256" not in entity and "contentSize" not in entity, key
            continue
        for root in [finished_study[0], *([] if key.startswith("#") else [crate])]:
            content = (root / entity["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == entity["sha256"], key
            assert str(len(content)) == entity["contentSize"], key


def test_nothing_of_participants_or_of_this_machine_is_in_the_folder(crate, finished_study):
    folder = finished_study[0]
    names = {entity["name"]: key for key, entity in read_graph(crate).items() if "File" in entity["@type"]}
    private = [path for path in list_tracked(folder, "outputs", "figures") if STUDY.is_private(path)]
    assert len(private) > 50 and all(names[path].startswith("#") for path in private)
    participant = re.compile(rb"\bsub-\d")
    assert participant.search((folder / "outputs/prep/trials.tsv").read_bytes())
    telling = [b"tester@example", str(folder).encode(), str(crate).encode(), socket.gethostname().encode()]
    for path in (path for path in crate.rglob("*") if path.is_file()):
        assert not participant.search(path.read_bytes()), path
        assert str(folder).encode() not in path.read_bytes(), path
        assert "sub-" not in path.name
    metadata = (crate / METADATA).read_bytes()
    checksums = [
        hashlib.sha256((folder / path).read_bytes()).hexdigest().encode()
        for path in private
        if not path.endswith(".js")
    ]
    assert not [word for word in [*telling, *checksums] if word in metadata]


def test_the_library_reads_it(crate):
    read = ROCrate(crate)
    assert len([entity for entity in read.get_entities() if entity.type == "CreateAction"]) == len(small_cells())
    root = read.root_dataset
    assert root["license"].id == "https://spdx.org/licenses/MIT"
    assert root["author"]["name"] == "The contributors to The face of pain"
    assert root["description"].startswith("Synthetic data: a simulation, not a measurement.")


def test_the_same_bytes_again_in_the_place_of_the_first(crate, finished_study, changed):
    (changed / "code/prep.py").unlink()
    run(["make", "crate", f"TO={changed}"], finished_study[0], **SMALL)
    found = {path.relative_to(changed) for path in changed.rglob("*") if path.is_file()}
    assert found == {path.relative_to(crate) for path in crate.rglob("*") if path.is_file()}
    assert all((changed / path).read_bytes() == (crate / path).read_bytes() for path in found)
    assert [path.name for path in changed.parent.iterdir()] == ["changed"]


def test_a_plain_clone_describes_what_it_does_not_hold(crate, finished_study, tmp_path):
    clone = tmp_path / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(finished_study[0]), str(clone)], tmp_path)
    run(["make", "crate", "TO=../exported"], clone, **SMALL)
    facts = []
    for graph in (read_graph(crate), read_graph(tmp_path / "exported")):
        files = [entity for entity in graph.values() if "File" in entity["@type"]]
        facts.append({entity["name"]: (entity.get("contentSize"), entity.get("sha256")) for entity in files})
    assert facts[0] == facts[1]
    absent = graph["#outputs/regress/M1/lasso/weights_average.nii.gz"]
    assert absent["description"].startswith("Not included: its content was not in the clone")
    assert validate(tmp_path / "exported", "REQUIRED", tmp_path / "cache").passed()


def refuse(folder, to):
    """Return what ``make crate`` says when it refuses; it must leave nothing behind."""
    done = run(["make", "crate", *([f"TO={to}"] if to else [])], folder, check=False, **SMALL)
    assert done.returncode != 0 and "Traceback" not in done.stdout
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("crate: ")]
    return said


def test_a_place_that_must_not_be_written_to_is_refused(finished_study, changed, tmp_path):
    folder = finished_study[0]
    assert "TO= is missing; name a folder" in refuse(folder, None)
    assert "lies in or around this repository" in refuse(folder, "figures/crate")
    assert "lies in or around this repository" in refuse(folder, "..")
    assert "expected a folder around it" in refuse(folder, tmp_path / "no/such")
    (tmp_path / "file").write_text("mine")
    assert "is a file; name a folder" in refuse(folder, tmp_path / "file")
    (changed / "outputs/notes.txt").write_text("mine")
    assert "holds outputs/notes.txt, which no crate of this study put there" in refuse(folder, changed)
    (changed / METADATA).unlink()
    assert re.search(r"holds \S+, which no crate of this study put there", refuse(folder, changed))
    assert (changed / "outputs/notes.txt").exists()


def test_results_that_do_not_belong_together_are_refused(study, tmp_path):
    to = tmp_path / "crate"
    (study / "outputs/note.txt").write_text("mine")
    assert "1 file(s) differ from the last commit: outputs/note.txt" in refuse(study, to)
    (study / "outputs/note.txt").unlink()
    metrics = study / "outputs/regress/M1/lasso/metrics.tsv"
    metrics.write_text(metrics.read_text() + "\n")
    run(["git", "commit", "--quiet", "--all", "--message", "Improve a number"], study)
    said = refuse(study, to)
    assert "stale: regress M1 lasso (its files were changed by a commit that is no run of it)" in said
    run(["git", "reset", "--quiet", "--hard", "HEAD~1"], study)
    (study / "outputs/notes.txt").write_text("mine")
    run(["git", "add", "outputs/notes.txt"], study)
    run(["git", "commit", "--quiet", "--message", "Add notes"], study)
    assert "outputs/notes.txt belongs to no result of this study; `git rm` and commit" in refuse(study, to)
    run(["git", "rm", "-rq", "outputs/notes.txt", "outputs/classify"], study)
    run(["git", "commit", "--quiet", "--message", "Remove a result"], study)
    assert "classify whole-brain is absent: it was never made; `make classify` makes it" in refuse(study, to)
    run(["git", "reset", "--quiet", "--hard", "HEAD~2"], study)
    # What stays is described by its name.
    message = run(["git", "log", "-1", "--format=%B", "--", "outputs/participants"], study).stdout
    (study / "outputs/participants/sub-001.png").write_text("drawn")
    run(["git", "add", "outputs"], study)
    run(["git", "commit", "--quiet", "--message", message], study)
    assert "#outputs/participants/sub-001.png may not be described: it names sub-001" in refuse(study, to)
    run(["git", "reset", "--quiet", "--hard", "HEAD~1"], study)
    content = (study / "outputs/regress/M1/lasso/weights_average.nii.gz").resolve()
    content.chmod(0o644)
    content.write_bytes(b"broken")
    assert "weights_average.nii.gz: its content does not fit its checksum" in refuse(study, to)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_data_of_ones_own_are_not_called_synthetic_and_their_address_is_not_told(study, tmp_path):
    for name in ("contrasts", "behavior"):
        for key, value in (("datalad-id", "0b9a8f1e-0000-4000-8000-000000000000"), ("url", "/a/private/place")):
            run(["git", "config", "--file", ".gitmodules", f"submodule.inputs/{name}.{key}", value], study)
    run(["git", "commit", "--quiet", "--all", "--message", "Name other datasets"], study)
    run(["make", "crate", f"TO={tmp_path / 'crate'}"], study, **SMALL)
    graph = read_graph(tmp_path / "crate")
    assert "ynthetic" not in graph["./"]["description"] + graph["#inputs/contrasts"]["description"]
    assert graph["#inputs/contrasts"]["identifier"] == "urn:uuid:0b9a8f1e-0000-4000-8000-000000000000"
    assert "#CITATION.cff" in graph and not (tmp_path / "crate/CITATION.cff").exists()  # it speaks of a simulation
    assert "private/place" not in (tmp_path / "crate" / METADATA).read_text()
    # Where the table of participants is not, nobody knows which names to look for.
    shutil.rmtree(study / "inputs/behavior")
    (study / "inputs/behavior").mkdir()
    assert "inputs/behavior is not here, so that the participants' names" in refuse(study, tmp_path / "second")
    assert not (tmp_path / "second").exists()
