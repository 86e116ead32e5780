"""Who read what of whom, from the records of all results; and a place on a page for every box and every arrow."""

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

# Left edge and width in mm, by kind of box.
COLUMNS = {"input": (6, 32), "prep": (6, 32), "extract": (50, 36), "regress": (98, 42), "classify": (98, 42),
           "plot": (152, 23)}  # fmt: skip
GAPS = (3.5, 40.5, 88.5, 142)  # mm from the left: the first lane before each column
LANE_MM = 2.3
AROUND_MM = 6  # above and below the boxes, for arrows that go around
LINE_MM, CHARACTER_MM, MARGIN_MM = 3.4, 1.5, 1.4  # of type of 7 points
BETWEEN_MM, BETWEEN_GROUPS_MM, BETWEEN_INPUTS_MM = 2.2, 5, 5


@dataclass(frozen=True)
class Node:
    """A dataset that went in, or a command that was run.

    Attributes
    ----------
    name : str
        Such as ``inputs/masks`` or ``regress M1 lasso``.
    kind : str
        ``input``, or the stage.
    title, detail : str
        Path or command; commit, or how many files it wrote.
    """

    name: str
    kind: str
    title: str
    detail: str


@dataclass(frozen=True)
class Graph:
    """Nodes by name, and what was read: (source, target) to whether anything but its record was."""

    nodes: dict
    edges: dict


@dataclass
class Box:
    """A node at its place: left, top, width and height in mm, and its lines."""

    node: Node
    left: float
    top: float
    width: float
    lines: list

    @property
    def height(self):
        return LINE_MM * len(self.lines) + 2 * MARGIN_MM

    @property
    def column(self):
        return sorted({left for left, _ in COLUMNS.values()}).index(self.left)


def build_graph(records, outputs, plot_command):
    """Find out who read what of whom.

    Parameters
    ----------
    records : dict of str to dict
        By name of the result (`facepain.report.pages.records.read_records`).
    outputs : Path
        The folder in which results lie.
    plot_command : str
        The command that draws, whose own record is not yet written.

    Returns
    -------
    graph : Graph
    """
    nodes, edges = {}, {}
    for name, record in records.items():
        n_files = len(list(Path(outputs, *name.split()).iterdir()))
        nodes[name] = Node(name, name.split()[0], record["command"], f"{n_files} files")
        for path, id_ in record["data"].items():
            source = find_owner(path, records)
            if source is None:
                # Two results may have been made from different commits of one dataset.
                source = f"{path} {id_[:10]}"
                is_dataset = path.startswith("inputs/") and path.count("/") == 1
                nodes[source] = Node(source, "input", path, f"{'commit' if is_dataset else 'object'} {id_[:10]}")
            edges[source, name] = True
    nodes["plot"] = Node("plot", "plot", plot_command, "figures")
    edges |= {(name, "plot"): not name.startswith("extract") for name in records}
    return Graph(nodes, edges)


def find_owner(path, records):
    """Return the name of the result that a path below ``outputs`` belongs to, None for any other path."""
    return next((name for name in records if path.startswith("/".join(("outputs", *name.split(), "")))), None)


def place_boxes(graph):
    """Give every node its box: inputs and ``prep`` below each other, then masks from top to bottom.

    Returns
    -------
    boxes : dict of str to Box
    height : float
        In mm, without the lanes above and below.
    """
    by_kind = {kind: [node for node in graph.nodes.values() if node.kind == kind] for kind in COLUMNS}
    boxes, top = {}, 0.0
    for extract in by_kind["extract"]:
        start = top
        for node in by_kind["regress"] + by_kind["classify"]:
            if node.name.split()[1] == extract.name.split()[1]:
                boxes[node.name] = make_box(node, top)
                top += boxes[node.name].height + BETWEEN_MM
        place_centred([extract], (start + top - BETWEEN_MM) / 2, boxes)
        top += BETWEEN_GROUPS_MM
    middle = (top - BETWEEN_MM - BETWEEN_GROUPS_MM) / 2
    # What prep does not read stands furthest from it, then what others read too, so that fewer arrows cross.
    inputs = sorted(
        by_kind["input"], key=lambda node: ((node.name, "prep") in graph.edges, -count_readers(graph, node))
    )
    place_centred([*inputs, *by_kind["prep"]], middle, boxes)
    place_centred(by_kind["plot"], middle, boxes)
    lift = -min(box.top for box in boxes.values())
    for box in boxes.values():
        box.top += lift
    return boxes, max(box.top + box.height for box in boxes.values())


def count_readers(graph, node):
    return sum(source == node.name for source, _ in graph.edges)


def place_centred(nodes, middle, boxes):
    """Place boxes below each other around a height."""
    made = [make_box(node, 0.0) for node in nodes]
    top = middle - (sum(box.height for box in made) + BETWEEN_INPUTS_MM * (len(made) - 1)) / 2
    for box in made:
        box.top = top
        boxes[box.node.name] = box
        top += box.height + BETWEEN_INPUTS_MM


def make_box(node, top):
    """Break what a node says into lines and give it a box."""
    left, width = COLUMNS[node.kind]
    n_characters = int((width - 2 * MARGIN_MM) / CHARACTER_MM)
    # The program, what it is asked for, and every option begin a line.
    program, *options = node.title.split(" --")
    words = program.split(" ", 2)
    parts = (" ".join(words[:2]), *words[2:], *(f"--{option}" for option in options))
    lines = [line for part in parts for line in textwrap.wrap(part, n_characters, break_long_words=False)]
    lines = [piece for line in lines for piece in textwrap.wrap(line, n_characters)]
    return Box(node, left, top, width, [*lines, node.detail])


@dataclass
class Router:
    """Lays arrows along lanes between the columns, so that what comes from one source runs together.

    Attributes
    ----------
    boxes : dict of str to Box
    height : float
        Of all boxes, in mm.
    edges : dict of (source, target) to bool
        As of `Graph`.
    lanes : dict of (gap, bundle) to float
        Places in mm from the left, filled as lanes are needed.
    """

    boxes: dict
    height: float
    edges: dict
    lanes: dict = field(default_factory=dict)

    def route(self, source, target):
        """Return the corners of the arrow from one box to another, in mm."""
        start, end = self.boxes[source], self.boxes[target]
        bundle = self.bundle(source, target)
        y0, y1 = self.leave(start, bundle), self.enter(end, bundle)
        if start.column == end.column:
            x = self.lane(0, bundle)
            return [(start.left, y0), (x, y0), (x, y1), (end.left, y1)]
        x = self.lane(start.column + 1, bundle)
        corners = [(start.left + start.width, y0), (x, y0)]
        if end.column > start.column + 1:
            # Around the columns between: records above, results below.
            y_around = -AROUND_MM / 2 if bundle == "record" else self.height + AROUND_MM / 2
            x_last = self.lane(end.column, bundle)
            corners += [(x, y_around), (x_last, y_around)]
            x = x_last
        return [*corners, (x, y1), (end.left, y1)]

    def bundle(self, source, target):
        """Name what runs in one lane: an input, a stage, or records alone."""
        node = self.boxes[source].node
        if not self.edges[source, target]:
            return "record"
        return node.name if node.kind == "input" else node.kind

    def lane(self, gap, bundle):
        """Return the place of a lane, a new one beside those that are taken."""
        if (gap, bundle) not in self.lanes:
            taken = sum(taken_gap == gap for taken_gap, _ in self.lanes)
            self.lanes[gap, bundle] = GAPS[gap] + LANE_MM * taken * (-1 if gap == 0 else 1)
        return self.lanes[gap, bundle]

    def enter(self, box, bundle):
        """Return the height at which a bundle enters a box; bundles are spread over its side."""
        found = (self.bundle(*edge) for edge in self.edges if edge[1] == box.node.name)
        return spread(box, sorted(set(found), key=self.order), bundle)

    def leave(self, box, bundle):
        """Return the height at which a bundle leaves a box."""
        found = (self.bundle(*edge) for edge in self.edges if edge[0] == box.node.name)
        return spread(box, sorted(set(found), key=self.order), bundle)

    def order(self, bundle):
        """Sort bundles by the height that they come from: records run above everything, ``prep`` below."""
        tops = [box.top for box in self.boxes.values() if bundle in (box.node.name, box.node.kind)]
        return (bundle != "record", bundle == "prep", min(tops, default=0.0), bundle)


def spread(box, bundles, bundle):
    return box.top + box.height * (bundles.index(bundle) + 1) / (len(bundles) + 1)
