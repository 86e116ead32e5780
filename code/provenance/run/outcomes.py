"""Sum up in a verdict what was made and how it compares with what was recorded."""

from provenance.records.grading import GONE


def verdict(grades, n_cells):
    """Return lines on what a call of `run_cells` did, differences first, and whether all was reproduced.

    It is not if any output is different from the recorded one although its inputs are the same.

    Parameters
    ----------
    grades : dict of str to dict
        Grades of the outputs of each cell that ran, by path.
    n_cells : int
        Cells that were asked for.
    """
    graded = [(path, *grade) for outputs in grades.values() for path, grade in outputs.items()]
    return sum_up(graded, f"{len(grades)} of {n_cells} cells ran")


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
