"""What may be said of signatures: how similar weight maps are to them, and how their expression goes with the score."""

import numpy as np

from facepain.report.claims import ALPHA, make_claim, model_name, p_is, span
from facepain.report.figures.page import OWN_MODEL, score_name

WHOLE, METRIC, SCHEME = "all", "cosine", "block"


def similarity_claims(results):
    """Say of every model and signature, over the whole mask, how similar they are, where that is more than chance."""
    claims = []
    for (mask, algorithm), cell in results.regressions.items():
        name = f"similarity/{mask}/{algorithm}/similarity"
        table = results.table(name)
        if table is None:
            continue
        n = results.settings(f"similarity/{mask}/{algorithm}").get("permutation", {}).get("n", 0)
        rows = table[(table["network"] == WHOLE) & (table["scheme"] == SCHEME)]
        spatial = rows[rows["metric"] == "pearson_r"].set_index("signature")["p_spatial"]
        rows = rows[rows["metric"] == METRIC]
        for row in rows[rows["p_familywise"] <= ALPHA].to_dict("records"):
            text = (
                f'The weight map of {model_name(cell)} resembles the signature "{row["signature"]}": cosine '
                f"{span(row, 'score', ('low', 'high'))}, family-wise {p_is(row['p_familywise'], n)} over signatures "
                "and networks by refits of scores exchanged between participants. The usual test, of their correlation "
                f"as two stationary random fields, gives {p_is(spatial.get(row['signature'], np.nan))}; where fields "
                "are not stationary, about 10 % of unrelated maps reach .05 by it."
            )
            about, files = f"similarity/{row['signature']}/{mask}/{algorithm}", [f"outputs/{name}.tsv"]
            numbers = (row["score"], row["low"], row["high"])
            claims.append(make_claim(about, text, numbers, files, row["p_familywise"], SCHEME))
    return claims


def relation_claims(results):
    """Say of every signature how its expression goes with the score within participants, where a test finds it."""
    table = results.table("relate/fixed_effects")
    if table is None:
        return []
    settings = results.settings("relate")
    score = score_name(results.score.split(" (")[0], settings.get("transform", "raw"))
    n = settings.get("permutation", {}).get("n", 0)
    claims = []
    for row in table[table["term"] == "expression"].to_dict("records"):
        # The test is of a slope in any participant, the interval of the mean slope: both have to find it.
        if not row["p_permutation"] <= ALPHA or row["low"] <= 0 <= row["high"]:
            continue
        what = "the model's own map, out of fold," if row["model"] == OWN_MODEL else f'the signature "{row["model"]}"'
        text = (
            f"Where a trial expresses {what} more strongly by one standard deviation, its {score} differs by "
            f"{span(row)} standard deviations (mixed model with participants' own slopes, "
            f"{row['n_participants']:.0f} participants; {p_is(row['p_permutation'], n)}, scores permuted within "
            "participants)."
        )
        numbers, files = (row["estimate"], row["low"], row["high"]), ["outputs/relate/fixed_effects.tsv"]
        claims.append(make_claim(f"expression/{row['model']}", text, numbers, files, row["p_permutation"], "within"))
    return claims
