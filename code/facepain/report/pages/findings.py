"""What was found and what limits it: the claims that a reader may quote, each at its place in the report."""

from facepain.inference.intervals import covered
from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import ALPHA, SYNTHETIC_SUFFIX
from facepain.report.pages.markup import plain

OF_A_MODEL = ("transfer", "split", "confounds", "unseen", "trials", "tuned", "voxels", "recovered", "similarity")
OF_A_MASK = ("occurrence", "intensity", "product", "shrinkage", "same")
UNKNOWN_POWER = "how small an effect would have been found is not known here."
# Of the first mask; those of every mask say whether the scores of unseen participants are predicted.
FOUND = ("transfer", "split", "confounds", "unseen", "tuned", "voxels", "recovered", "datasets")
FOUND_OF_EVERY_MASK = ("unseen", "tuned", "datasets")
QUOTED = ("r2", "skill", "pearson_r", "within_r", "offset", "slope", "r2_offset_removed")  # of another dataset
KINDS = (*OF_A_MODEL[:5], "difference", *OF_A_MASK, *OF_A_MODEL[5:], "expression", "datasets", "reliability")


def describe_findings(claims, results):
    """Sort the sentences that may be said into the sections of the report, the least favourable kinds first.

    Sections are ``found``, ``models``, ``mask <name>`` and ``datasets``; their texts are about the first algorithm,
    about pairs and about the study. Every sentence is in one section.
    """
    texts = {"found": [], "models": [], "datasets": []} | {f"mask {mask}": [] for mask in results.masks}
    if not results.regressions:
        return texts | {"found": ["No model's results are here."]}
    algorithm = results.algorithms[0]
    if not results.tested_datasets:
        texts["found"].append(f"No model was tested on another dataset: {results.why_not_tested()}.")
    for claim in sorted(claims.values(), key=lambda claim: (*KINDS, "level", "detectable").index(kind_of(claim))):
        section = section_of(claim, results.masks, algorithm)
        if section:
            texts[section].append(plain(claim.text.removesuffix(SYNTHETIC_SUFFIX)))
    rest = ", ".join(ALGORITHMS[name].label for name in results.algorithms[1:])
    label = ALGORITHMS[algorithm].label
    others = (
        f"{label} stands for all algorithms here. The same sentences for {rest} are in"
        if rest
        else "These sentences are also in"
    )
    texts["found"].append(f"{others} `claims.json`.")
    return texts


def kind_of(claim):
    return claim.id.split("/")[0]


def section_of(claim, masks, algorithm):
    """Return the section that a claim is shown in, or None."""
    kind, *about = claim.id.split("/")
    mask = about[-2] if kind in OF_A_MODEL else about[0]
    if kind not in KINDS or (kind in OF_A_MODEL and about[-1] != algorithm):
        return None
    # Differences that were not shown, and those in other scores, are in claims.json.
    if kind == "difference" and (about[0] != "skill" or claim.p > ALPHA):
        return None
    if kind in FOUND and (mask == masks[0] or kind in FOUND_OF_EVERY_MASK):
        return "found"
    if kind in OF_A_MODEL + OF_A_MASK:
        return f"mask {mask}"
    return "datasets" if kind == "reliability" else "models"


def describe_limits(claims, results):
    """Say what the results cannot show."""
    cells = list(results.regressions.values())
    texts = []
    if results.synthetic:
        texts.append(
            "**The data are synthetic.** Images and scores were simulated with the shape of a real study and with "
            "planted effects. Nothing here says anything about brains, faces or pain; it shows that the analysis runs "
            "and finds what was planted."
        )
    if cells:
        n_trials = cells[0].n_trials
        never = n_trials - cells[0].summary("pooled", "n_distinct")
        start = f"{never:.0f} of {n_trials:.0f} trials are in no" if never else "Every trial is in a"
        found = [claim for claim in claims.values() if kind_of(claim) == "detectable"]
        found = [claim.text for claim in found if claim.id.split("/")[-1] == results.algorithms[0]]
        rest = ". The next lines say what would have been found." if found else f": {UNKNOWN_POWER}"
        texts += [
            f"{start} test set of the published folds; the {len(cells[0].folds)} folds share most of their training "
            "trials, so that their standard deviation is no standard error.",
            f"A score near chance is no evidence of absence{rest}",
            *(plain(text.removesuffix(SYNTHETIC_SUFFIX)) for text in found),
        ]
    texts += [
        "Intervals over participants take the models as fitted, so that they are too narrow. In simulated studies 95 % "
        f"intervals covered {covered('other dataset', *QUOTED)} of the time on another dataset, "
        f"{covered('lopo', 'skill')} for the skill and {covered('lopo', 'pearson_r')} for the correlation of "
        f"leave-one-participant-out predictions, and with tuned models {covered('tuned', 'skill')} and "
        f"{covered('tuned', 'pearson_r')} (`docs/validity.md`).",
        "The correlation of all leave-one-participant-out predictions together is below 0 where there is nothing to "
        "find; it is compared with its permutations, never with 0.",
        "Exchanging scores within participants tests single trials only: differences between participants stay in the "
        "null. Sentences about unseen participants rest on whole participants exchanged.",
        "p values stand beside the estimate that they test. Only those called corrected take account of the number of "
        "models.",
        "A weight depends on all other voxels: a large one need not mark a place that responds, a small one need not "
        "mark one that does not. The pattern beside it shows which voxels vary with the prediction.",
    ]
    return texts
