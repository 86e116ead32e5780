"""Sum up in a verdict what was made and how it compares with what was recorded."""

from provenance.records.grading import GONE


def verdict(outcomes):
    """Return lines on what `run_cells` did, differences first, and whether all was reproduced.

    It is not if any output is different from the recorded one although its inputs are the same. ``outcomes`` are those
    that `run_cells` returns.
    """
    ran = [grades for grades in outcomes.values() if grades is not None]
    graded = [(path, *grade) for grades in ran for path, grade in grades.items()]
    return sum_up(graded, f"{len(ran)} of {len(outcomes)} cells ran")


def sum_up(graded, opening):
    """Turn graded outputs into lines for a person."""
    bad = [entry for entry in graded if entry[1] in ("different", "not verified", GONE)]
    notes = bad + [entry for entry in graded if entry[1] == "equal within tolerance"]
    lines = [f"{path}: {grade}{', ' + detail if detail else ''}" for path, grade, detail in notes]
    counts = {}
    for _, grade, _ in graded:
        counts[grade] = counts.get(grade, 0) + 1
    total = [f"{count} {grade}" for grade, count in sorted(counts.items())]
    compared = f"; {len(graded)} outputs: {', '.join(total)}" if graded else "; every result is fresh"
    known = counts.get("identical", 0) + counts.get("equal within tolerance", 0)
    if graded and not bad:
        compared += f" ({known} reproduced the recorded results)" if known else ""
    return [*lines, f"{'NOT REPRODUCED' if bad else 'verdict'}: {opening}{compared}"], not bad
