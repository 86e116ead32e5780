"""What may be said of signatures: how similar weight maps are to them, and how their expression goes with the score."""

import numpy as np

from facepain.report.claims import make_claim, model_name, p_is, span
from facepain.report.figures.page import score_name

ALPHA = 0.05
WHOLE, METRIC, SCHEME, OWN = "all", "cosine", "block", "own-model"


def similarity_claims(results):
    """Say of every model and signature, over the whole mask, how similar they are, where that is more than chance."""
    claims = []
    for (mask, algorithm), cell in results.regressions.items():
        name = f"similarity/{mask}/{algorithm}/similarity"
        table = results.table(name)
        if table is None:
            continue
        rows = table[(table["network"] == WHOLE) & (table["metric"] == METRIC) & (table["scheme"] == SCHEME)]
        for row in rows[rows["p_familywise"] <= ALPHA].to_dict("records"):
            text = (
                f"The weight map of {model_name(cell)} resembles the signature {row['signature']}: cosine "
                f"{span(row, 'score', ('low', 'high'))}, family-wise {p_is(row['p_familywise'])} over signatures and "
                "networks by refits of scores exchanged between participants."
            )
            numbers = (row["score"], row["low"], row["high"])
            claim = (f"similarity/{row['signature']}/{mask}/{algorithm}", text, numbers, (row["p_familywise"], SCHEME))
            claims.append(make_claim(*claim, [f"outputs/{name}.tsv"]))
    return claims


def relation_claims(results):
    """Say of every signature how its expression goes with the score within participants, where a test finds it."""
    table = results.table("relate/fixed_effects")
    if table is None:
        return []
    score = score_name(results.target).removesuffix(" (points)")
    claims = []
    for row in table[table["term"] == "expression"].to_dict("records"):
        if not np.isfinite(row["p_permutation"]) or row["p_permutation"] > ALPHA:
            continue
        what = "the model's own map, out of fold," if row["model"] == OWN else f"the signature {row['model']}"
        text = (
            f"Where a trial expresses {what} by one standard deviation more, its {score} is {span(row)} standard "
            f"deviations higher (mixed model with participants' own slopes, {row['n_participants']:.0f} participants; "
            f"{p_is(row['p_permutation'])}, scores permuted within participants)."
        )
        numbers, test = (row["estimate"], row["low"], row["high"]), (row["p_permutation"], "within")
        claims.append(
            make_claim(f"expression/{row['model']}", text, numbers, test, ["outputs/relate/fixed_effects.tsv"])
        )
    return claims
