"""The params file: every unknown key and bad value is named."""

import shutil

import pytest
from repositories import edit_params

import stages
from errors import InputError
from files import flatten
from provenance.declare import Options
from provenance.repository import ROOT
from stages import STUDY

PARAMS = ROOT / "code" / "params.toml"


@pytest.fixture
def edited(tmp_path):
    def edited(old, new):
        text = PARAMS.read_text()
        assert text.count(old) >= 1
        path = tmp_path / "params.toml"
        path.write_text(text.replace(old, new, 1))
        return path

    return edited


def test_the_projects_own_params_are_valid_and_give_one_cell_for_each_combination():
    names = [cell.name for cell in STUDY.cells()]
    counts = {stage: sum(name.split()[0] == stage for name in names) for stage in ("extract", "regress", "tune")}
    assert counts == {"extract": 3, "regress": 9, "tune": 6} and len(set(names)) == len(names)
    assert names[0] == "prep" and names[-1] == "plot"


def test_confounds_leave_occurrence_out_and_join_the_predictors_of_the_score(edited):
    path = edited("confounds = []", 'confounds = ["age", "run"]')
    cells = {cell.name: cell for cell in STUDY.cells(Options(str(path)))}
    assert not any(name.startswith("occurrence") for name in cells)
    assert "outputs/occurrence" not in cells["plot"].reads
    assert cells["relate"].settings["columns"] == ["run", "trial", "age"]
    assert cells["prep"].settings["confounds"] == ["age", "run"]


def test_without_signatures_there_is_nothing_of_them(edited):
    path = edited('signatures = "inputs', '# signatures = "inputs')
    cells = STUDY.cells(Options(str(path)))
    stages = {cell.stage for cell in cells}
    assert not stages & {"signatures", "similarity", "expression", "relate"}
    assert not any("signatures" in read or "relate" in read for cell in cells for read in cell.reads)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 42", "sed = 42", "unknown key sed; expected one of"),
        ("alpha = 1.0", "alhpa = 1.0", "unknown key regress.lasso.alhpa"),
        ("alpha = 1.0", "alpha = 0.0", "regress.lasso.alpha = 0.0 is not allowed; it should be greater than 0"),
        ("alpha = 1.0", "alpha = true", "regress.lasso.alpha = True is not allowed"),
        ("alpha = 1.0", "alpha = nan", "regress.lasso.alpha = nan is not allowed"),
        (
            "variance = 0.8",
            "variance = 80",
            "regress.variance = 80 is not allowed; it should be less than 1",
        ),
        (
            'scheme = "group-shuffle"',
            'scheme = "shuffle"',
            "cross_validation.scheme = 'shuffle' is not allowed; it should be 'group-shuffle', 'group-kfold' or 'lopo'",
        ),
        ("n_folds = 5", "n_folds = 1", "n_folds = 1 is not allowed; it should be greater than or equal to 2"),
        (
            'target = "facs"',
            'target = ["facs", "rating"]',
            "prep.target = .* it should be one column: a run predicts one target",
        ),
        (
            'table = "inputs/behavior/trials.tsv"',
            'table = "inputs/behavior/trials.tab"',
            "prep.table = 'inputs/behavior/trials.tab' is not allowed; it should end in .tsv, .*: only",
        ),
        (
            'images_without_trial = "refuse"',
            'images_without_trial = "refuse"\ncolumns = { run = "block", trial = "block" }',
            "prep.columns = .*'block'.* is not allowed; it should be a different column for each",
        ),
        (
            '["lasso", "ridge", "svr"]',
            '["lasso", "lasso"]',
            "regress.algorithms = .* should be a list of different names",
        ),
        ('M1 = "inputs/masks/M1.nii.gz"', "", 'extract.masks names "M1", which has no file under'),
        (
            'masks = ["whole-brain"]',
            'masks = ["cortex"]',
            'classify.masks names "cortex"; expected one of extract.masks',
        ),
        ("n = 5000", "", "regress.permutation.n is missing"),
        ("seed = 42", "seed = 202611271430", "seed = 202611271430 is not allowed; it should be less than 2147483648"),
        (
            'algorithms = ["lasso", "ridge", "svr"]',
            'algorithms = ["ridge", "svr"]',
            'relate.algorithm = "lasso" is not compared with signatures; expected one of ridge, svr',
        ),
        ("seed = 42", "seed = ", "not valid TOML"),
        (
            '# target_grid = "inputs/masks/M1.nii.gz"',
            'target_grid = "/data/M1.nii.gz"',
            "extract.target_grid = '/data/M1.nii.gz' is not allowed; it should be a path from the root",
        ),
    ],
)
def test_a_mistake_is_named(edited, old, new, message):
    with pytest.raises(InputError, match=message):
        STUDY.load_params(edited(old, new))


@pytest.mark.parametrize("stage", ["tune", "occurrence"])
def test_a_mask_that_is_not_extracted_is_named(tmp_path, stage):
    shutil.copy(PARAMS, tmp_path)
    edit_params(tmp_path / "params.toml", {stage: {"masks": ["cortex"]}})
    with pytest.raises(InputError, match=f'{stage}.masks names "cortex"; expected one of extract.masks'):
        STUDY.load_params(tmp_path / "params.toml")


def test_all_files_of_a_mask_or_map_of_the_repository_are_read(edited, tmp_path, monkeypatch):
    for name in ("masks/m1.hdr", "masks/m1.img"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    cells = STUDY.cells(Options(str(edited('M1 = "inputs/masks/M1.nii.gz"', 'M1 = "masks/m1.hdr"'))))
    reads = next(cell for cell in cells if cell.name == "extract M1").reads
    assert {"masks/m1.hdr", "masks/m1.img", "inputs/contrasts"} <= set(reads)
    cells = STUDY.cells(Options(str(edited('signatures = "inputs/signatures/', 'signatures = "maps/'))))
    assert "maps" in next(cell for cell in cells if cell.name == "signatures").reads


def test_the_study_is_measured_by_images_alone(tmp_path, monkeypatch):
    folder = tmp_path / "inputs/contrasts"
    (folder / ".git/annex/objects/key.hdr").mkdir(parents=True)
    (folder / "._a.nii").touch()
    (folder / "a.nii").write_bytes(b"damaged")
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    assert stages.measure_study()[:2] == (1, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file; PARAMS names a params file"):
        STUDY.load_params(tmp_path / "none.toml")


def test_a_cell_sees_only_the_settings_that_it_uses(edited):
    before = {cell.name: cell.settings for cell in STUDY.cells()}
    after = {cell.name: cell.settings for cell in STUDY.cells(Options(str(edited("alpha = 1.0", "alpha = 2.0"))))}
    changed = {name for name in before if before[name] != after[name]}
    fitted = {
        f"{stage} {mask} lasso"
        for stage in ("regress", "similarity", "expression")
        for mask in before["compare"]["masks"]
    }
    # Tuning chooses the penalty itself.
    assert changed == {*fitted, "compare"}


def test_options_stand_in_the_command_and_the_settings_of_the_cells_they_concern():
    options = Options(values={"n_permutations": 9, "n_bootstraps": 8})
    cell = STUDY.cell(options, "regress", "M1", "svr")
    assert cell.command == "python code/regress.py M1 svr --n-permutations 9 --n-bootstraps 8"
    assert (cell.settings["permutation"]["n"], cell.settings["bootstrap"]["n"]) == (9, 8)
    assert STUDY.cell(options, "extract", "M1").command == "python code/extract.py M1"


def test_an_unknown_mask_is_named():
    with pytest.raises(InputError, match='regress M2 lasso: the mask "M2" is unknown; expected one of whole-brain'):
        STUDY.cell(Options(), "regress", "M2", "lasso")


def test_the_preset_of_the_later_paper_is_valid_and_differs_only_where_the_paper_does():
    """Its keys are those of the project's own params, so that neither is forgotten when one changes."""
    own, preset = (flatten(STUDY.load_params(ROOT / "code" / name)) for name in ("params.toml", "params-2023.toml"))
    differing = {key for key in own.keys() | preset.keys() if own.get(key) != preset.get(key)}
    assert differing == {
        *("regress.algorithms", "regress.transform", "regress.standardize", "regress.cross_validation.n_folds"),
        *("regress.lasso.permutation_schemes", "extract.mask_files.M1", "extract.mask_files.without-M1"),
        *("tune.algorithms", "compare.detectable.algorithms"),
    }
    assert preset["regress.transform"] == "log1p" and preset["regress.standardize"] == ["image", "voxel"]
    assert preset["regress.permutation.n"] == preset["regress.bootstrap.n"] == 5000
    names = [cell.name for cell in STUDY.cells(Options(str(ROOT / "code/params-2023.toml")))]
    assert "regress M1 lasso" in names and not [name for name in names if "ridge" in name or "svr" in name]
