"""Ids and names of datasets that look like numbers stay text from the table of trials to the last prediction."""

import pytest
from repositories import SMALL, run
from sound_study import N_PARTICIPANTS, Study

from files.tables import read_table

IDS = ["1.1", "1.10", "001", "1", "1e5", "100000", "007", "7", "true", "0x10", "1_0", "10"]


@pytest.mark.slow
def test_what_looks_like_a_number_stays_text_to_the_end(study, tmp_path, rng):
    assert len(IDS) == N_PARTICIPANTS
    own = Study(tmp_path / "own", rng)
    for number, name in enumerate(IDS):
        own.set(number, "participant_id", name)
        own.set(number, "dataset", own.rows[number][1].removeprefix("dataset-"))
    run(["make", "own", f"CONTRASTS={own.images}", f"BEHAVIOR={own.table}"], study)
    assert 'train_dataset = "1"' in (study / "code/params.toml").read_text()
    run(["git", "commit", "--quiet", "--all", "--message", "Describe my study"], study)
    run(["make", "cell", "CELL=regress whole-brain ridge"], study, **SMALL)
    run(["make", "classify"], study, **SMALL)

    n_trained = N_PARTICIPANTS * 2 // 3
    trained, tested = sorted(IDS[:n_trained]), sorted(IDS[n_trained:])
    outputs = study / "outputs"
    trials = read_table(outputs / "prep/trials.tsv")
    assert trials["participant_id"].tolist() == trained + tested and set(trials["dataset"]) == {"1", "2"}
    assert read_table(outputs / "extract/whole-brain/quality.tsv")["participant_id"].tolist() == trained + tested
    regress = outputs / "regress/whole-brain/ridge"
    assert read_table(regress / "out_of_fold.tsv")["participant_id"].tolist() == trained
    predictions = read_table(regress / "predictions.tsv")
    assert predictions.query("fold == 'test'")["participant_id"].tolist() == tested
    observed = read_table(outputs / "classify/whole-brain/predictions.tsv")
    assert (trials["dataset"].iloc[observed["row"]].to_numpy() == observed["observed"].to_numpy()).all()
    assert (trials["participant_id"].iloc[observed["row"]].to_numpy() == observed["participant_id"].to_numpy()).all()
