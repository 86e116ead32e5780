"""How the results came to be: which datasets went in, and which stage read what of which."""

from typing import NamedTuple

from matplotlib.patches import Rectangle

from facepain.report.figures.page import BLACK, GREY, Drawing, NothingToDraw, new_page, page_axes
from facepain.results.load import read_records

BOX_MM, ROW_MM = 9, 12.5
LEFT_MM, BOX_WIDTH_MM, PAGE_MM = 2, 104, 176


class Node(NamedTuple):
    """An input dataset, or a stage with all its results."""

    title: str  # path, or form of the command
    detail: str
    reads: dict  # names of other nodes; False where only the record of a result is read
    is_input: bool = False


def build_graph(cells, command):
    """Gather what the records of the results say: a node for each input dataset and each stage.

    Inputs come first, then the stages in the order of the cells, ``plot`` last: its own record is not yet written.
    """
    records = read_records(cells)
    cells = [cell for cell in cells if cell.name in records]
    stages, commits = {}, {}
    for cell in cells:
        stages.setdefault(cell.stage, []).append(cell)
        for path, id_ in records[cell.name]["data"].items():
            if not path.startswith("outputs/"):
                commits.setdefault(path, set()).add(f"commit {id_[:10]}")
    nodes = {path: Node(path, ", ".join(sorted(commits[path])), {}, is_input=True) for path in sorted(commits)}
    for stage, its_cells in stages.items():
        paths = [path for cell in its_cells for path in records[cell.name]["data"]]
        reads = {path if path in commits else path.split("/")[1]: True for path in paths}
        n = len(its_cells)
        nodes[stage] = Node(its_cells[0].declared.form, f"{n} result{'s' * (n > 1)}", reads)
    shown = {stage: bool(its_cells[0].declared.sources) for stage, its_cells in stages.items()}
    return nodes | {"plot": Node(command, "figures, tables and pages", shown)} if nodes else {}


def draw_provenance(results, cells, command):
    """Draw the graph of the records of all results."""
    nodes = build_graph(cells, command)
    if not nodes:
        raise NothingToDraw("no result records what it was made from")
    height = ROW_MM * len(nodes)
    figure = new_page(height + 2, results.synthetic, layout=None)
    plot_graph(page_axes(figure, 2, 0, PAGE_MM, height), nodes)
    n_inputs = sum(node.is_input for node in nodes.values())
    caption = (
        f"{n_inputs} inputs, each by its commit, and {len(nodes) - n_inputs - 1} stages; every result is one command, "
        "run and recorded by datalad run. Follow a line from a box down to the arrowheads of the stages that read "
        "it; dashed: only settings and commands are read. Drawn from the inputs.json beside every result."
    )
    reads = (f"{name} reads {', '.join(node.reads)}" for name, node in nodes.items() if node.reads)
    return Drawing(figure, "Provenance of the results", caption, f"Diagram: {'; '.join(reads)}.")


def plot_graph(axes, nodes):
    """Draw a box on each line, and to the right of them a lane for each node that is read."""
    rows = {name: ROW_MM * number + ROW_MM / 2 for number, name in enumerate(nodes)}
    read = [name for name in nodes if any(name in node.reads for node in nodes.values())]
    right = LEFT_MM + BOX_WIDTH_MM
    step = min(6.0, (PAGE_MM - right - 4) / max(len(read), 1))
    # The nearest lane belongs to the last node, so that lines cross less.
    lanes = {name: right + 5 + step * number for number, name in enumerate(reversed(read))}
    for number, name in enumerate(read):
        colour = (BLACK, GREY)[number % 2]
        for target, node in nodes.items():
            if name not in node.reads:
                continue
            # Each line enters a box at a height of its own, above the one that leaves it.
            sources = [each for each in reversed(read) if each in node.reads]
            y = rows[target] - BOX_MM / 2 + BOX_MM * (sources.index(name) + 1) / (len(sources) + 2)
            style = {"color": colour, "linewidth": 0.8, "linestyle": "-" if node.reads[name] else (0, (3, 2))}
            x, out = [right, lanes[name], lanes[name], right + 1], rows[name] + BOX_MM / 2 - BOX_MM / 8
            axes.plot(x, [out, out, y, y], label=f"{name} > {target}", **style)
            axes.plot(right + 1, y, "<", color=colour, markersize=3.5, markeredgewidth=0)
    for name, node in nodes.items():
        y, style = rows[name], {"fontsize": 7, "va": "center"}
        face, weight = ("#EFEFEF", "normal") if node.is_input else ("white", "bold")
        box = (LEFT_MM, y - BOX_MM / 2), BOX_WIDTH_MM, BOX_MM
        axes.add_patch(Rectangle(*box, facecolor=face, edgecolor=BLACK, linewidth=0.8, label=name))
        title = node.title if len(node.title) <= 66 else node.title[:65] + "\N{HORIZONTAL ELLIPSIS}"
        axes.text(LEFT_MM + 1.5, y - 2, title, fontweight=weight, **style)
        axes.text(LEFT_MM + 1.5, y + 2.2, node.detail, color="#505050", **style)
