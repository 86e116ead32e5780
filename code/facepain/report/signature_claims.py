"""What may be said of signatures: how similar weight maps are to them, and how their expression goes with the score."""

import numpy as np

from facepain.data.signatures import OWN
from facepain.report.claims import ALPHA, find_row, make_claim, model_name, numbers_of, p_is, rows_of, span
from facepain.report.figures.page import score_name


def similarity_claims(results, cell):
    """Say of every signature, over the whole mask, how similar a model is to it, where that is more than chance."""
    name = f"similarity/{cell.mask}/{cell.algorithm}"
    table, n = results.table(f"{name}/similarity"), results.settings(name).get("permutation", {}).get("n", 0)
    shown = {"network": "all", "scheme": cell.scheme_of_people}  # over the whole mask
    for row in rows_of(table, metric="cosine", **shown):
        # The test is two-sided, and of refits to permuted scores; the interval is of participants drawn.
        if not row["p_familywise"] <= ALPHA or row["low"] <= 0 <= row["high"]:
            continue
        how = "resembles" if row["low"] > 0 else "resembles, with opposite sign,"
        correlated = find_row(table, metric="pearson_r", signature=row["signature"], **shown)
        text = (
            f'The weight map of {model_name(cell)} {how} the signature "{row["signature"]}": cosine '
            f"{span(row, 'score')}, family-wise {p_is(row['p_familywise'], n)} over signatures "
            "and networks by refits of scores exchanged between participants. The usual test, of their correlation "
            f"as two stationary random fields, gives {p_is(correlated['p_spatial'] if correlated else np.nan)}; where "
            "fields are not stationary, about 10 % of unrelated maps reach .05 by it."
        )
        about = f"similarity/{row['signature']}/{cell.mask}/{cell.algorithm}"
        files = [f"outputs/{name}/similarity.tsv"]
        yield make_claim(about, text, numbers_of(row, "score"), files, row["p_familywise"], row["scheme"])


def relation_claims(results):
    """Say of every signature how its expression goes with the score within participants, where a test finds it."""
    settings = results.settings("relate")
    score = score_name(results.score.split(" (")[0], settings.get("transform", "raw"))
    n = settings.get("permutation", {}).get("n", 0)
    for row in rows_of(results.table("relate/fixed_effects"), term="expression"):
        # The test is of a slope in any participant, the interval of the mean slope: both have to find it.
        if not row["p_permutation"] <= ALPHA or row["low"] <= 0 <= row["high"]:
            continue
        what = "the model's own map, out of fold," if row["model"] == OWN else f'the signature "{row["model"]}"'
        text = (
            f"Where a trial expresses {what} more strongly by one standard deviation, its {score} differs by "
            f"{span(row)} standard deviations (mixed model with participants' own slopes, "
            f"{row['n_participants']:.0f} participants; {p_is(row['p_permutation'], n)}, scores permuted within "
            "participants)."
        )
        name, files = f"expression/{row['model']}", ["outputs/relate/fixed_effects.tsv"]
        yield make_claim(name, text, numbers_of(row), files, row["p_permutation"], "within")
