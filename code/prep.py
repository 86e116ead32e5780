"""Join scores and contrast images by id and write the usable trials of the study."""

import json
from pathlib import Path

from facepain.errors import InputError
from facepain.outputs import read_table
from facepain.tables import (
    IMAGE_ENDINGS,
    check_range,
    match_images,
    read_trials,
    summarize,
    usable_trials,
)
from provenance.stage import run_stage

BEHAVIOR, CONTRASTS = Path("inputs/behavior"), Path("inputs/contrasts")
TRIAL_COLUMNS = {
    "participant_id": "participant, as in inputs/behavior/participants.tsv",
    "dataset": "dataset that the participant belongs to",
    "run": "fMRI run, from 1",
    "trial": "painful trial, counted over the runs of a participant, from 1",
    "contrast": "first-level contrast image of the trial, below inputs/contrasts",
}
SUMMARY_COLUMNS = {
    "dataset": "dataset described",
    "fact": "what is described; excluded trials by reason",
    "value": "counts, years, or the unit of the score; standard deviations of scores are of the population",
}


def main(cell, outputs):
    target = cell.settings["target"]
    trials = read_trials(BEHAVIOR / "trials.tsv", target)
    check_range(trials, target, cell.settings.get("target_min"), cell.settings.get("target_max"))
    match_images(trials, find_images(CONTRASTS))
    usable = usable_trials(trials)
    if usable.empty:
        raise InputError(f"{BEHAVIOR / 'trials.tsv'}: every trial is excluded; keep some")

    for dataset, of_dataset in usable.groupby("dataset"):
        study = {
            "target": of_dataset[target].tolist(),
            "group": of_dataset["participant_id"].tolist(),
            "data": [str(CONTRASTS / contrast) for contrast in of_dataset["contrast"]],
        }
        outputs.write_json(f"{dataset}.json", study)
    columns = [*TRIAL_COLUMNS, target]
    described = TRIAL_COLUMNS | {target: "score to predict"}
    outputs.write_table("trials.tsv", usable[columns], described, exact=True)

    people = BEHAVIOR / "participants.tsv"
    participants = read_table(people) if people.exists() else None
    outputs.write_table("summary.tsv", summarize(trials, participants, target), SUMMARY_COLUMNS)
    outputs.write_json("study.json", {"synthetic": is_synthetic(BEHAVIOR), "target": target})
    for dataset, count in usable["dataset"].value_counts(sort=False).items():
        print(f"prep: {dataset}: {count} of {(trials['dataset'] == dataset).sum()} trials are usable")
    if usable["dataset"].nunique() == 1:
        print("prep: one dataset only: no test set and no classifier")


def is_synthetic(folder):
    """Tell whether a subdataset's own description says that its data were simulated."""
    description = folder / "dataset_description.json"
    return description.exists() and json.loads(description.read_text(encoding="utf-8")).get("Synthetic") is True


def find_images(folder):
    """List the contrast images below a folder, as paths from it; the subdataset's own records are not searched."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.name.endswith(IMAGE_ENDINGS))
    return [path.as_posix() for path in paths if not path.parts[0].startswith(".")]


if __name__ == "__main__":
    run_stage("prep", main)
