"""How the results came to be: what went in, which commands were run, and which read what of which."""

from matplotlib.markers import CARETRIGHT
from matplotlib.patches import Rectangle

from facepain.report.figures.page import (
    BLACK,
    GREY,
    ORANGE,
    SKY,
    Drawing,
    NothingToDraw,
    new_page,
    place,
)
from facepain.report.figures.record_graph import AROUND_MM, LINE_MM, MARGIN_MM, Router, build_graph, place_boxes
from facepain.report.pages.records import read_records

INPUT_COLOURS = (ORANGE, SKY, GREY)


def draw_provenance(results, cells, command):
    """Draw the graph of the records of all results.

    Parameters
    ----------
    results : StudyResults
    cells : list of ShownCell
    command : str
        The command that draws.

    Returns
    -------
    drawing : Drawing

    Raises
    ------
    NothingToDraw
        If a result has no record.
    """
    records = read_records(cells)
    if not records:
        raise NothingToDraw("no result records what it was made from")
    graph = build_graph(records, results.folder, command)
    colours = {cell.stage: cell.colour for cell in cells} | {"plot": BLACK}
    boxes, height = place_boxes(graph)
    figure = new_page(height + 2 * AROUND_MM, results.synthetic, layout=None)
    axes = place(figure, 2, 0, 176, height + 2 * AROUND_MM)
    axes.set(xlim=(0, 176), ylim=(height + AROUND_MM, -AROUND_MM))
    axes.axis("off")
    plot_graph(axes, graph, boxes, height, colours)
    n_inputs = sum(node.kind == "input" for node in graph.nodes.values())
    caption = (
        f"How the results came to be: {n_inputs} inputs, each by its commit, and {len(boxes) - n_inputs} commands, "
        "each run and recorded by `datalad run`, with the number of files that it wrote. An arrow leads to a command "
        "from what it read; dashed: its record alone, for the methods of the report. Drawn from the `inputs.json` "
        "beside every result."
    )
    told = (describe_node(graph, node) for node in graph.nodes.values() if node.kind != "input")
    alt = f"Diagram: {'; '.join(told)}."
    return Drawing(figure, "Provenance of the results", caption, alt)


def plot_graph(axes, graph, boxes, height, stage_colours):
    """Draw arrows, then boxes over them; artists are labelled by what they stand for."""
    inputs = [box.node.name for box in sorted(boxes.values(), key=lambda box: box.top) if box.node.kind == "input"]
    colours = {name: INPUT_COLOURS[number % len(INPUT_COLOURS)] for number, name in enumerate(inputs)}
    colours |= {name: stage_colours[box.node.kind] for name, box in boxes.items() if box.node.kind != "input"}
    router = Router(boxes, height, graph.edges)
    # From the top down, so that lanes lie in the order of their sources.
    for source, target in sorted(graph.edges, key=lambda edge: router.order(router.bundle(*edge))):
        # Drawn from the head back, so that the dashes of arrows that run together fall on each other.
        x, y = zip(*router.route(source, target)[::-1], strict=True)
        style = {"linewidth": 0.8, "linestyle": "-" if graph.edges[source, target] else (0, (3, 2))}
        axes.plot(
            x, y, color=colours[source], solid_joinstyle="miter", solid_capstyle="butt", snap=True,
            marker=CARETRIGHT, markersize=4.5, markeredgewidth=0, markevery=[0], label=f"{source} > {target}", **style,
        )  # fmt: skip
    for name, box in boxes.items():
        face = {"facecolor": "white", "edgecolor": colours[name], "linewidth": 1, "label": name}
        axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, **face))
        for number, line in enumerate(box.lines):
            colour = "#505050" if number == len(box.lines) - 1 else BLACK
            y = box.top + MARGIN_MM + LINE_MM * (number + 0.5)
            axes.text(box.left + MARGIN_MM, y, line, fontsize=7, va="center", color=colour)


def describe_node(graph, node):
    """Tell in words what a command read; of figures, which read everything, only that."""
    read = [graph.nodes[source] for source, target in graph.edges if target == node.name]
    told = (source.title if source.kind == "input" else source.name for source in read)
    return f"{node.name} reads " + ("all results" if node.kind == "plot" else ", ".join(told))
