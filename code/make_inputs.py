"""Build the synthetic input datasets that are missing, at the very commits recorded here; leave others alone."""

import os

from errors import InputError
from provenance.annex.dataset import build_dataset, remove_tree
from provenance.repository import ROOT, input_datasets, require_as_recorded, require_plain_branch, subdataset_setting

# The folders below inputs/ and the DataLad ids of what belongs there, in the order of building.
DATASET_IDS = {
    "masks": "70d1a0c4-5033-4493-8b45-844e1a162e4c",
    "behavior": "1cb17729-4e05-44a3-b949-e2e3bf6de397",
    "contrasts": "487c5f4c-8206-4bc8-a5c5-86ee43b98114",
    "signatures": "c1f9a8de-6a0e-4b53-9a53-27a5ac1f2f0b",
}


def make_inputs(into, names=tuple(DATASET_IDS)):
    """Build the datasets that are missing in the folder ``inputs`` of a repository, after a look at the others.

    Stop if something else lies at a dataset's place, or a built one is not the recorded one. The design, ``full`` or
    ``small``, is the one that ``.gitmodules`` names, else ``full``.
    """
    into.mkdir(parents=True, exist_ok=True)
    pins = {path.split("/")[1]: commit for path, commit in input_datasets(root=into.absolute().parent).items()}
    commits = {name: find_commit(into / name, pins.get(name)) for name in names}
    for name, commit in commits.items():
        path = into / name
        if commit is not None and (lost := lost_content(path)):
            print(f"{path}: the content of {lost} file(s) is lost; built again", flush=True)
            aside = path.with_name(f".{path.name}.building")  # the build removes it, also after an interruption
            if aside.exists():
                remove_tree(aside)
            os.replace(path, aside)
        elif commit is not None:
            print(f"{path}: there, at commit {commit[:10]}")
            continue
        if found := recorded_other(path):  # it cannot be simulated
            raise InputError(
                f"{path} is to hold another dataset than the synthetic one ({found}), which is not installed; "
                f"`datalad get --no-data {path}` installs it"
            )
        # Any of them may have made way for data of one's own.
        designs = (recorded(into / each, "facepain-design") for each in DATASET_IDS)
        built = build(path, next(filter(None, designs), "full"))
        if pins.get(name, built) != built:
            raise InputError(
                f"{path} was built at commit {built[:10]}, this repository records {pins[name][:10]}; the "
                "simulation or the installed packages are probably not those it was recorded with: "
                "install requirements.lock and undo changes of code/, remove the folder "
                f"(`chmod -R u+w {path} && rm -r {path}`) and try again; after a change on purpose "
                f"record it with `datalad save -d . {path}`"
            )


def find_commit(path, pin):
    """Return the commit of the dataset at a path, None if there is nothing; stop if anything else is there."""
    if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
        return None
    if not (path / ".git").exists():
        raise InputError(
            f"{path} holds something that is not a dataset; it is left alone: move it elsewhere "
            "and try again, or see docs/own-study.md"
        )
    require_plain_branch(path.absolute())
    return require_as_recorded(path, pin)


def lost_content(path):
    """Count the files without content of a synthetic dataset, which can be built again; 0 for any other."""
    if recorded_other(path):
        return 0
    return sum(not file.exists() for file in path.rglob("*") if file.is_symlink() and ".git" not in file.parts)


def recorded_other(path):
    """Return the id of a dataset recorded at a path that is not the synthetic one; its address if it has no id."""
    id_ = recorded(path, "datalad-id")
    return "" if id_ == DATASET_IDS[path.name] else id_ or recorded(path, "url")


def recorded(path, key):
    """Return what ``.gitmodules`` beside the folder of inputs says about a subdataset, "" if nothing."""
    into = path.parent.absolute()
    return subdataset_setting(f"{into.name}/{path.name}", key, into.parent)


def is_synthetic(name):
    """Return whether the dataset that this repository records at ``inputs/<name>`` is the synthetic one."""
    return name in DATASET_IDS and recorded(ROOT / "inputs" / name, "datalad-id") == DATASET_IDS[name]


def build(path, design_name):
    """Build one dataset and return its commit."""
    # Imported only now: a call that finds everything in place takes no second.
    from facepain.simulation.input_files import DESIGNS, make_input_files
    from provenance.run.progress import Progress
    from provenance.run.stage import require_disk

    source = make_input_files(path.name, DESIGNS[design_name])
    require_disk(source.n_bytes, path, path.parent)
    print(f"{path}: building, {source.n_files} files, {source.n_bytes / 1e6:.1f} MB", flush=True)

    with Progress(source.n_files, str(path)) as progress:

        def counted():
            for file in source.files:
                yield file
                progress()

        commit = build_dataset(path, counted(), DATASET_IDS[path.name], source.message)
    print(f"{path}: built, commit {commit[:10]}", flush=True)
    return commit
