"""Join scores and contrast images by id and write the usable trials of the study."""

from pathlib import Path

from errors import InputError
from facepain.data.image_names import IMAGE_ENDINGS, match_images, name_images
from facepain.data.summary import RELIABILITY_COLUMNS, SCORE_COLUMNS, bin_scores, reliability_table, summarize
from facepain.data.trials import check_scores, find_confounds, is_usable, read_participants, read_trials, usable_trials
from facepain.parallel import Resampling
from files.tables import read_json
from provenance.run.stage import run_stage
from stages import STUDY

BEHAVIOR, CONTRASTS = Path("inputs/behavior"), Path("inputs/contrasts")
TRIAL_COLUMNS = {
    "participant_id": "participant, as in inputs/behavior/participants.tsv",
    "dataset": "dataset that the participant belongs to",
    "run": "fMRI run, from 1",
    "trial": "trial, counted over the runs of a participant, from 1",
    "contrast": "first-level contrast image of the trial, below inputs/contrasts",
    "volume": "volume of that image, from 1; only where images hold several",
}
SUMMARY_COLUMNS = {
    "dataset": "dataset described",
    "fact": "what is described; excluded trials by reason",
    "value": "counts, years, or the unit of the score; standard deviations of scores are of the population",
}


def main(cell, outputs):
    target = cell.settings["target"]
    trials = join_trials(cell.settings)
    usable = usable_trials(trials)
    for dataset, of_dataset in usable.groupby("dataset"):
        images = f"{CONTRASTS}/" + of_dataset["contrast"]
        if "volume" in usable:  # as SPM writes it
            images += "," + of_dataset["volume"].astype(str)
        study = {"target": of_dataset[target], "group": of_dataset["participant_id"], "data": images}
        outputs.write_json(f"{dataset}.json", {name: column.tolist() for name, column in study.items()})
    people = read_people(trials)
    further = find_confounds(usable, people, cell.settings["confounds"])
    usable = usable.assign(**further)
    columns = [column for column in dict.fromkeys((*TRIAL_COLUMNS, target, *further)) if column in usable]
    described = dict.fromkeys(further, "named in the params, by regress.confounds or relate.columns")
    described |= TRIAL_COLUMNS | {target: "score to predict"}
    outputs.write_table("trials.tsv", usable[columns], described, exact=True)

    enough = cell.settings["min_participants"]
    reliability = reliability_table(usable, target, Resampling(2000, cell.settings["seed"]), enough)
    outputs.write_table("reliability.tsv", reliability, RELIABILITY_COLUMNS)
    outputs.write_table("summary.tsv", summarize(trials, people, target, enough), SUMMARY_COLUMNS)
    outputs.write_table("scores.tsv", bin_scores(usable, target, enough), SCORE_COLUMNS)
    outputs.write_json("study.json", {"synthetic": is_synthetic(BEHAVIOR), "target": target})
    for dataset, count in usable["dataset"].value_counts(sort=False).items():
        print(f"prep: {dataset}: {count} of {(trials['dataset'] == dataset).sum()} trials are usable")
    if usable["dataset"].nunique() == 1:
        print("prep: one dataset only: no test set and no classifier")


def join_trials(settings):
    """Read the table of trials, excluded ones too, and name the image of each, as the params' table ``prep`` says."""
    target, pattern = settings["target"], settings.get("images")
    for path in [settings["table"]] if isinstance(settings["table"], str) else settings["table"]:
        if not Path(path).is_relative_to(BEHAVIOR) or ".." in Path(path).parts:
            raise InputError(
                f'prep.table = "{path}" does not lie in {BEHAVIOR}, whose commit the record of a result holds; '
                "move the table there"
            )
    trials = read_trials(settings["table"], target, settings.get("columns"), pattern)
    if not is_usable(trials).any():
        reason, count = next(iter(trials["excluded"].value_counts().items()))
        raise InputError(
            f"{settings['table']}: every trial is excluded; expected usable ones, with nothing in the column excluded, "
            f'which holds "{reason}" in {count} of {len(trials)} trials'
        )
    check_scores(trials, target, settings.get("target_min"), settings.get("target_max"))
    trials, expected = name_images(trials, find_images(CONTRASTS), pattern)
    match_images(trials, expected, settings["images_without_trial"])
    return trials


def read_people(trials):
    """Return the table of participants, whose ids are spelled as in the trials; None if there is none."""
    path = BEHAVIOR / "participants.tsv"
    return read_participants(path, trials) if path.exists() else None


def is_synthetic(folder):
    """Return whether a subdataset's own description says that its data were simulated."""
    description = folder / "dataset_description.json"
    content = read_json(description) if description.exists() else {}
    return isinstance(content, dict) and content.get("Synthetic") is True


def find_images(folder):
    """List the contrast images below a folder, as paths from it; hidden files, such as ._con.nii, are none."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.name.endswith(IMAGE_ENDINGS))
    return [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]


if __name__ == "__main__":
    run_stage(STUDY, "prep", main)
