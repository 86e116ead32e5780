"""How the results came to be: which datasets went in, and which stage read what of which."""

from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.patches import Rectangle

from facepain.report.figures.page import BLACK, GREY, Drawing, NothingToDraw, new_page, page_axes
from facepain.results.load import read_records

BOX_MM, ROW_MM = 9, 12.5
LEFT_MM, BOX_WIDTH_MM, PAGE_MM = 2, 104, 176


@dataclass
class Node:
    """An input dataset, or a stage with all its results."""

    title: str  # path, or form of the command
    commits: set = field(default_factory=set)  # of an input dataset
    n_results: int = 0  # of a stage, like its files
    n_files: int = 0
    reads: dict = field(default_factory=dict)  # names of other nodes; False where only the record of a result is read

    @property
    def detail(self):
        if self.n_results:
            return f"{self.n_results} result{'s' * (self.n_results > 1)}, {self.n_files} files"
        return ", ".join(f"commit {commit[:10]}" for commit in sorted(self.commits)) or "figures, tables and pages"


def build_graph(cells, command):
    """Gather what the records of the results say: a node for each input dataset and each stage.

    Inputs come first, then the stages in the order of the cells, ``plot`` last: its own record is not yet written.
    """
    records = read_records(cells)
    cells = [cell for cell in cells if cell.name in records]
    inputs, stages = {}, {}
    for cell in cells:
        node = stages.setdefault(cell.stage, Node(cell.form))
        node.n_results += 1
        node.n_files += len(list(Path(cell.folder).iterdir()))
        for path, id_ in records[cell.name]["data"].items():
            top, _, rest = path.partition("/")
            name = rest.split("/")[0] if top == "outputs" else path
            if name == path:
                inputs.setdefault(path, Node(path)).commits.add(id_)
            node.reads[name] = True
    nodes = dict(sorted(inputs.items())) | stages
    shown = {cell.stage: bool(cell.sources) for cell in cells}
    return nodes | {"plot": Node(command, reads=shown)} if nodes else {}


def draw_provenance(results, cells, command):
    """Draw the graph of the records of all results."""
    nodes = build_graph(cells, command)
    if not nodes:
        raise NothingToDraw("no result records what it was made from")
    height = ROW_MM * len(nodes)
    figure = new_page(height + 2, results.synthetic, layout=None)
    plot_graph(page_axes(figure, 2, 0, PAGE_MM, height), nodes)
    n_stages = sum(bool(node.n_results) for node in nodes.values())
    caption = (
        f"{len(nodes) - n_stages - 1} inputs, each by its commit, and {n_stages} stages; every result is one command, "
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
        face, weight = ("#EFEFEF", "normal") if node.commits else ("white", "bold")
        box = (LEFT_MM, y - BOX_MM / 2), BOX_WIDTH_MM, BOX_MM
        axes.add_patch(Rectangle(*box, facecolor=face, edgecolor=BLACK, linewidth=0.8, label=name))
        title = node.title if len(node.title) <= 66 else node.title[:65] + "\N{HORIZONTAL ELLIPSIS}"
        axes.text(LEFT_MM + 1.5, y - 2, title, fontweight=weight, **style)
        axes.text(LEFT_MM + 1.5, y + 2.2, node.detail, color="#505050", **style)
