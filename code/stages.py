"""The study: its stages, what each cell reads and sees of the params, and what of it is participant level.

To add a stage: its script ``code/<name>.py``, its entry here with the model of its table in the params, and that table
in ``code/params.toml``. The Makefile, ``make status``, verify, explain, on-demand, crate, publish, the picture of the
provenance and the report's sources follow from these entries.
"""

import math
import os
from contextlib import suppress
from pkgutil import resolve_name

from facepain import params as tables
from facepain.data.mask_expressions import definitions_used, mask_files
from facepain.models.algorithms import ALGORITHMS
from make_inputs import is_synthetic, make_inputs
from provenance.declare import RECORD, Cost, Stage, Study
from provenance.repository import ROOT

# Measured on one core, in seconds: reading a voxel, a product of two trials' voxels, and a bootstrap draw by the square
# and the cube of its trials.
PER_VOXEL, PER_PRODUCT, PER_SQUARE, PER_CUBE = 4e-8, 3e-11, 3.2e-8, 3.3e-11
# In bootstrap draws: one of a support vector machine; a permutation of a fold, the same of the machine, and tuned.
MACHINE_DRAW, FIT, MACHINE_FIT, TUNED_FIT = 2.6, 0.0025, 0.3, 0.1
BASE_MEMORY, BASE_SECONDS = 7e8, 5  # interpreters and packages
BRAIN_SHARE = 0.26  # of the voxels of a grid
TRIALS_A_PARTICIPANT = 16
FIGURES_SECONDS = 60

PERMUTATIONS = {"n_permutations": "permutation.n"}
BOOTSTRAPS = {"n_bootstraps": "bootstrap.n"}
MODEL_KEYS = ("algorithm", "confounds", "seed", "standardize", "target", "train_dataset", "transform", "variance")


def list_masks(params):
    return [(mask,) for mask in params["extract"]["masks"]]


def list_models(params):
    return [(mask, algorithm) for mask in params["extract"]["masks"] for algorithm in params["regress"]["algorithms"]]


def list_tuned(params):
    masks = params["tune"].get("masks", params["extract"]["masks"])
    return [(mask, algorithm) for mask in masks for algorithm in params["tune"]["algorithms"]]


def list_occurrences(params):
    # Without confounds a score of 0 no longer means no expression.
    masks = [] if params["regress"]["confounds"] else params["occurrence"]["masks"]
    return [(mask,) for mask in masks if mask in params["extract"]["masks"]]


def read_masks(params, mask):
    files = mask_files(mask, params["extract"]["mask_files"])
    files += [params["extract"]["target_grid"]] if "target_grid" in params["extract"] else []
    # A subdataset is read as a whole: what is committed of it here is its commit.
    files = {part for file in files for part in list_parts(file)}
    return ("outputs/prep/trials.tsv", "inputs/contrasts", *sorted(files - {"inputs/contrasts"}))


def list_parts(file):
    """Return the dataset that a file lies in; of one of this repository all that an image of its name consists of."""
    if file.startswith("inputs/"):
        return ["/".join(file.split("/")[:2])]
    beside = (f"{file.removesuffix('.hdr').removesuffix('.img')}{end}" for end in (".hdr", ".img", ".mat"))
    return [file, *(each for each in beside if each != file and (ROOT / each).exists())]


def read_signals(_params, mask, *_names):
    folder = f"outputs/extract/{mask}"
    # The last made first: where both are missing, the command that makes it makes the other too.
    return (f"{folder}/signals.npy", f"{folder}/mask.nii.gz", "outputs/prep/trials.tsv")


def read_results(params):
    """Return what is shown: the folders of stages whose numbers the report gives, the records of all others."""
    paths = []
    for stage in (stage for stage in STAGES if not stage.shows):
        # Not the folder of all: what other params left there need not be in this clone.
        is_shown = stage.sources and stage.private != ("*",)
        files = [()] if is_shown else [(file,) for file in (RECORD, *stage.sources)]
        paths += ["/".join((stage.place, *names, *file)) for names in stage.names(params) for file in files]
    return tuple(paths)


def read_participants(params):
    """Return what shows participants: the trials, and every model's predictions and whom they depend on."""
    models = ["/".join(("outputs/regress", *names)) for names in list_models(params)]
    expression = [read_expression(params)] if has_signatures(params) else []
    return (
        *("outputs/prep/trials.tsv", "outputs/prep/study.json", *expression),
        *(f"{folder}/{name}.tsv" for folder in models for name in ("predictions", "influence")),
    )


def read_expression(params):
    return f"outputs/expression/{params['relate']['mask']}/{params['relate']['algorithm']}/expression.tsv"


def see_prep(params):
    # Those that every table of trials has are written anyway.
    related = [name for name in params["relate"]["columns"] if name not in ("run", "trial")]
    named = list(dict.fromkeys([*params["regress"]["confounds"], *(related if has_signatures(params) else [])]))
    shared = {"min_participants": params["min_participants"], "confounds": named}
    return params["prep"] | shared | {"seed": params["seed"]}


def pick(table, *keys):
    return {key: table[key] for key in keys if key in table}


def omit(table, *keys):
    return {key: value for key, value in table.items() if key not in keys}


def see_regress(params, _mask, algorithm):
    own = omit(params["regress"], *ALGORITHMS, "algorithms") | pick(params, "seed", "min_participants")
    return own | {"algorithm": params["regress"][algorithm], "target": params["prep"]["target"]}


def see_fits(params):
    """Return what every stage that fits the score of the training dataset shares with ``regress``."""
    own = pick(params["regress"], "train_dataset", "transform", "standardize", "cross_validation", "confounds")
    return own | pick(params, "seed", "min_participants") | {"target": params["prep"]["target"]}


def see_tune(params, _mask, algorithm):
    fixed = set(ALGORITHMS[algorithm].parameters) - {ALGORITHMS[algorithm].penalty}
    own = omit(params["tune"], "masks", "algorithms") | see_fits(params)
    return own | {"parameters": pick(params["regress"][algorithm], *fixed)}


def read_regressions(params):
    paths = [path for mask in params["extract"]["masks"] for path in read_signals(params, mask)]
    for mask, algorithm in list_models(params):
        paths += [f"outputs/regress/{mask}/{algorithm}/{name}" for name in ("permutation.json", "out_of_fold.tsv")]
    return tuple(dict.fromkeys(paths))


def see_compare(params):
    regress = params["regress"]
    parameters = {name: pick(regress[name], *ALGORITHMS[name].parameters) for name in regress["algorithms"]}
    own = {"masks": params["extract"]["masks"], "algorithms": parameters} | pick(regress, "variance")
    return params["compare"] | own | pick(regress["permutation"], "strata") | see_fits(params)


def list_expressed(params):
    """Return the models whose similarity with signatures is asked for: all, if the params do not say."""
    chosen = params.get("similarity", {})
    if "signatures" not in chosen:
        return []
    masks, algorithms = chosen.get("masks"), chosen.get("algorithms")
    models = list_models(params)
    return [names for names in models if names[0] in (masks or names) and names[1] in (algorithms or names)]


def see_model(params, mask, algorithm):
    """Return what decides which model is fitted to all trials of the training dataset."""
    return pick(see_regress(params, mask, algorithm), *MODEL_KEYS)


def read_weights(params, mask, algorithm):
    regress, folder = params["regress"], f"outputs/regress/{mask}/{algorithm}"
    kept = regress["standardize"] == "image" and regress["bootstrap"]["unit"] == "participant"
    return (f"{folder}/weights_final.nii.gz", *([f"{folder}/bootstrap_draws.npz"] if kept else []))


def see_similarity(params, mask, algorithm):
    own = omit(params["similarity"], "masks", "algorithms")
    model = see_model(params, mask, algorithm)
    n = min(own["permutation"]["n"], model["algorithm"].get("max_permutations") or own["permutation"]["n"])
    return own | see_maps(params) | {"permutation": own["permutation"] | {"n": n}, "regress": model}


def see_maps(params):
    """Return what decides how signatures are read."""
    orientation = params["extract"]["analyze_orientation"]
    return {"signatures": params["similarity"]["signatures"], "analyze_orientation": orientation}


def see_relate(params):
    columns = list(dict.fromkeys([*params["relate"]["columns"], *params["regress"]["confounds"]]))
    shared = {"seed": params["seed"], "target": params["prep"]["target"], "columns": columns}
    return params["relate"] | pick(params["regress"], "train_dataset", "transform") | shared


def has_signatures(params):
    return "signatures" in params.get("similarity", {})


def read_signatures(params):
    """Return the datasets, or folders of this repository, that signatures and networks lie in."""
    files = [params["similarity"][key] for key in ("signatures", "networks") if key in params["similarity"]]
    own = [os.path.dirname(file) or file for file in files if not file.startswith("inputs/")]
    return sorted({*own, *(list_parts(file)[0] for file in files if file.startswith("inputs/"))})


def see_plot(params):
    names = {"title": f"Predicting {params['prep']['target']} from the brain", "score": params["prep"]["target"]}
    shown = {"masks": params["extract"]["masks"], "algorithms": params["regress"]["algorithms"]}
    return names | params["plot"] | {"target": params["prep"]["target"]} | shown


def see_participants(params):
    seen = pick(see_plot(params), "masks", "algorithms", "target", "score")
    related = {"related": [params["relate"][key] for key in ("mask", "algorithm", "measure")]}
    return seen | pick(params["regress"], "transform", "confounds") | (related if has_signatures(params) else {})


def measure_study():
    """Return the numbers of trials, participants and brain voxels, as far as the images' names and one header say."""
    import nibabel  # as most commands need no image

    folder = ROOT / "inputs/contrasts"
    # Of DataLad's and git's own files, some are called as the images that they hold.
    paths = [path for ending in (".hdr", ".nii", ".nii.gz") for path in folder.rglob(f"*{ending}")]
    paths = [path for path in paths if "/." not in path.relative_to(ROOT).as_posix()]
    here = next((path for path in paths if path.exists()), None)
    shape = (91, 109, 91)
    if here:
        with suppress(OSError, ValueError, nibabel.filebasedimages.ImageFileError):  # reading the images names it
            shape = nibabel.load(here).shape
    n_trials = len(paths) * math.prod(shape[3:])
    return n_trials, math.ceil(n_trials / TRIALS_A_PARTICIPANT), int(BRAIN_SHARE * math.prod(shape[:3]))


def cost_of_images(_settings, n_trials, _n_participants, n_voxels):
    return Cost(BASE_SECONDS + PER_VOXEL * n_trials * n_voxels / BRAIN_SHARE, BASE_MEMORY + 100 * n_voxels)


def cost_of_models(settings, n_trials, n_participants, n_voxels):
    """Count permutations of every fold, of leaving each participant out where there are repeats, and draws."""
    model = settings.get("regress", settings)
    algorithm, permutation = model.get("algorithm", {}), settings.get("permutation", {})
    n, folds = permutation.get("n", 0), settings.get("cross_validation", {}).get("n_folds", 1)
    n_lopo = min(permutation.get("n_lopo", n), algorithm.get("max_permutations_lopo") or n)
    n_lopo *= "repeats" in settings
    n_schemes = len(permutation.get("schemes") or algorithm.get("permutation_schemes") or "1")
    fits = n_schemes * (min(n, algorithm.get("max_permutations") or n) * folds + n_lopo * n_participants)
    machine = "C" in settings | algorithm
    fit = TUNED_FIT if "grid" in settings else MACHINE_FIT if machine else FIT
    draws = settings.get("bootstrap", {}).get("n", 0) * (MACHINE_DRAW if machine else 1) + n_participants
    gram = PER_PRODUCT * n_trials**2 * n_voxels
    # Where voxels are standardised again each draw has products of its own.
    draw = PER_SQUARE * n_trials**2 + PER_CUBE * n_trials**3 + (gram if "voxel" in model.get("standardize", "") else 0)
    seconds = BASE_SECONDS + 4 * gram + draw * (draws + fit * fits)
    return Cost(seconds, BASE_MEMORY + 12 * n_trials * n_voxels + 200 * n_trials**2, cores=4)


def cost_of_comparisons(settings, n_trials, n_participants, n_voxels):
    """Count the simulated studies, of about a bootstrap draw each."""
    planted = settings["detectable"]
    n = len(settings["masks"]) * len(planted["algorithms"]) * len(planted["effects"]) * planted["n"]
    return cost_of_models({"bootstrap": {"n": n}}, n_trials, n_participants, n_voxels)


def cost_of_figures(_settings, n_trials, _n_participants, n_voxels):
    return Cost(FIGURES_SECONDS, 2 * BASE_MEMORY + 4 * n_trials * n_voxels, cores=2)


STAGES = (
    Stage(
        name="prep",
        about="join scores and images, apply exclusions",
        table=tables.Prep,
        reads=lambda params: ("inputs/behavior", "inputs/contrasts"),
        settings=see_prep,
        # Each dataset has a file of its name, whatever that is.
        private=("*.*",),
        public=(
            "study.json",
            *(f"{name}.{end}" for name in ("reliability", "scores", "summary") for end in ("json", "tsv")),
        ),
        sources=("summary.tsv", "scores.tsv", "reliability.tsv"),
        cost=cost_of_images,
    ),
    Stage(
        name="extract",
        about="take the voxels of each mask out of the images",
        arguments=("mask",),
        names=list_masks,
        table=tables.Extract,
        reads=read_masks,
        settings=lambda params, mask: (
            omit(params["extract"], "masks") | {"mask_files": definitions_used(mask, params["extract"]["mask_files"])}
        ),
        private=("*",),
        public=("mask.json",),
        sources=("mask.json",),
        cost=cost_of_images,
    ),
    Stage(
        name="regress",
        about="predict the score from every mask by every algorithm",
        arguments=("mask", "algorithm"),
        names=list_models,
        table=tables.Regress,
        reads=read_signals,
        settings=see_regress,
        options=PERMUTATIONS | BOOTSTRAPS,
        private=("predictions.*", "split_fold-*", "out_of_fold.*", "influence.*", "bootstrap_draws.*"),
        sources=(
            *("metrics.tsv", "test_metrics.tsv", "permutation.tsv", "bootstrap.json"),
            *("intervals.tsv", "transfer.tsv", "repeats.tsv", "learning.tsv", "calibration.tsv", "confounds.tsv"),
            "clusters.tsv",
            *("weights_average.nii.gz", "bootstrap_z.nii.gz"),
        ),
        cost=cost_of_models,
    ),
    Stage(
        name="classify",
        about="distinguish the datasets",
        arguments=("mask",),
        names=lambda params: [(mask,) for mask in params["classify"]["masks"]],
        table=tables.Classify,
        reads=read_signals,
        settings=lambda params, mask: omit(params["classify"], "masks") | pick(params, "seed", "min_participants"),
        options=PERMUTATIONS,
        private=("predictions.*",),
        sources=("metrics.tsv", "confusion.tsv", "permutation.tsv"),
        cost=cost_of_models,
    ),
    Stage(
        name="signatures",
        about="compare the signatures with each other",
        reads=lambda params: (
            *read_signatures(params),
            *(f"outputs/extract/{mask}/mask.nii.gz" for mask in params["extract"]["masks"]),
        ),
        settings=lambda params: see_maps(params) | {"masks": params["extract"]["masks"]},
        names=lambda params: [()] if has_signatures(params) else [],
        sources=("signatures.tsv",),
    ),
    Stage(
        name="similarity",
        about="compare weight maps with signatures, also within networks",
        arguments=("mask", "algorithm"),
        names=list_expressed,
        table=tables.Similarity,
        reads=lambda params, mask, algorithm: (
            *read_signals(params, mask),
            *read_weights(params, mask, algorithm),
            *read_signatures(params),
        ),
        settings=see_similarity,
        options=PERMUTATIONS | BOOTSTRAPS,
        sources=("similarity.tsv",),
        cost=cost_of_models,
    ),
    Stage(
        name="expression",
        about="say how strongly every trial expresses each signature",
        arguments=("mask", "algorithm"),
        names=list_expressed,
        reads=lambda params, mask, algorithm: (
            *read_signals(params, mask),
            *(f"outputs/regress/{mask}/{algorithm}/weights_{kind}.nii.gz" for kind in ("average", "final")),
            *read_signatures(params),
        ),
        settings=lambda params, mask, algorithm: see_maps(params) | {"regress": see_model(params, mask, algorithm)},
        private=("*",),
        cost=cost_of_models,
    ),
    Stage(
        name="relate",
        about="relate the score to expression by mixed models",
        names=lambda params: [()] if has_signatures(params) else [],
        table=tables.Relate,
        reads=lambda params: (read_expression(params), "outputs/prep/trials.tsv"),
        settings=see_relate,
        options=PERMUTATIONS,
        private=("participant_slopes.*",),
        sources=("fixed_effects.tsv",),
    ),
    Stage(
        name="tune",
        about="choose penalty and components inside each training fold",
        arguments=("mask", "algorithm"),
        names=list_tuned,
        table=tables.Tune,
        reads=read_signals,
        settings=see_tune,
        options=PERMUTATIONS,
        private=("predictions.*", "out_of_fold.*"),
        sources=("metrics.tsv", "test_metrics.tsv", "tuning.tsv", "intervals.tsv", "permutation.tsv", "repeats.tsv"),
        cost=cost_of_models,
    ),
    Stage(
        name="occurrence",
        about="predict whether a score is above 0, and how high it is then",
        arguments=("mask",),
        names=list_occurrences,
        table=tables.Occurrence,
        reads=read_signals,
        settings=lambda params, mask: (
            omit(params["occurrence"], "masks") | pick(params["regress"], "variance") | see_fits(params)
        ),
        options=PERMUTATIONS,
        private=("predictions.*",),
        sources=("metrics.tsv", "intervals.tsv", "permutation.tsv"),
        cost=cost_of_models,
    ),
    Stage(
        name="compare",
        about="compare models, and say which effects would have been found",
        table=tables.Compare,
        reads=read_regressions,
        settings=see_compare,
        sources=("cells.tsv", "pairs.tsv", "detectable.tsv"),
        cost=cost_of_comparisons,
    ),
    Stage(
        name="participants",
        about="draw figures and pages of participants and single trials",
        reads=read_participants,
        settings=see_participants,
        private=("*",),
        cost=cost_of_figures,
        options=dict.fromkeys(PERMUTATIONS | BOOTSTRAPS, ""),
        shows=True,
    ),
    Stage(
        name="plot",
        about="draw figures, tables and pages of the results that there are",
        table=tables.Plot,
        reads=read_results,
        settings=see_plot,
        folder="figures",
        options=dict.fromkeys(PERMUTATIONS | BOOTSTRAPS, ""),
        cost=cost_of_figures,
        shows=True,
    ),
)


STUDY = Study(
    stages=STAGES,
    load_params=lambda path: tables.load_params(path, STAGES),
    machinery=("code/provenance/", "code/stages.py", "code/make_inputs.py", "code/facepain/params.py"),
    rebuilt=is_synthetic,
    rebuild=make_inputs,
    size=measure_study,
    # By its name, because most commands need none of the heavy packages.
    contradictions=lambda folder: resolve_name("facepain.results.consistency:find_contradictions")(folder),
    participant_column=lambda params: params.get("prep", {}).get("columns", {}).get("participant_id", "participant_id"),
    image_pattern=lambda params: params.get("prep", {}).get("images"),
    libraries=("plotly/package_data/plotly.min.js",),
)
