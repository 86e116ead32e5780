"""A document as a list of blocks, written as Markdown or as HTML: the same words in both."""

import re
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Heading:
    """A heading; level 2 is the highest below the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph. In all texts ``**bold**``, `` `code` `` and ``[name](address)`` mean what they mean in Markdown."""

    text: str
    kind: str = ""  # "warning" or "quiet"


@dataclass(frozen=True)
class Items:
    """A list of texts."""

    texts: tuple


@dataclass(frozen=True)
class Code:
    """Commands to type."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table: a header and rows of texts."""

    header: tuple
    rows: tuple


@dataclass(frozen=True)
class Picture:
    """A figure by the name of its files, without an ending."""

    name: str
    title: str
    caption: str
    alt: str


def to_markdown(title, blocks):
    """Write blocks as Markdown; pictures are the PNG files beside it."""
    parts = [f"# {title}", *(_markdown(block) for block in blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block):
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return f"> **{block.text}**" if block.kind == "warning" else block.text
        case Items():
            return "\n".join(f"- {text}" for text in block.texts)
        case Code():
            return f"```\n{block.text}\n```"
        case Grid():
            lines = [block.header, ["---"] * len(block.header), *block.rows]
            return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
        case Picture():
            alt = block.alt.replace("[", "(").replace("]", ")")
            return f"**{block.title}**\n\n![{alt}]({block.name}.png)\n\n{block.caption} ([SVG]({block.name}.svg))"
    raise TypeError(f"{type(block).__name__} is no block of a document")


def to_html(blocks, source_of):
    """Write blocks as HTML.

    Parameters
    ----------
    blocks : list
    source_of : callable
        Takes the name of a picture, returns what its ``src`` is to be.

    Returns
    -------
    html : Markup
    """
    return Markup("\n").join(_html(block, source_of) for block in blocks)


def _html(block, source_of):
    match block:
        case Heading():
            anchor = re.sub(r"[^a-z0-9]+", "-", block.text.lower()).strip("-")
            return Markup('<h{0} id="{1}">{2}</h{0}>').format(block.level, anchor, _inline(block.text))
        case Text():
            return Markup("<p{}>{}</p>").format(
                Markup(' class="{}"').format(block.kind) if block.kind else "", _inline(block.text)
            )
        case Items():
            return Markup("<ul>{}</ul>").format(
                Markup("").join(Markup("<li>{}</li>").format(_inline(text)) for text in block.texts)
            )
        case Code():
            return Markup("<pre><code>{}</code></pre>").format(block.text)
        case Grid():
            head = Markup("").join(Markup('<th scope="col">{}</th>').format(_inline(cell)) for cell in block.header)
            rows = Markup("\n").join(
                Markup("<tr>{}</tr>").format(Markup("").join(map(_cell, row))) for row in block.rows
            )
            table = Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, rows)
            return Markup('<div class="scroll" tabindex="0">{}</div>').format(table)
        case Picture():
            return PICTURE.format(
                source=source_of(block.name),
                alt=block.alt,
                title=block.title,
                caption=_inline(block.caption),
                name=block.name,
            )
    raise TypeError(f"{type(block).__name__} is no block of a document")


PICTURE = Markup(
    '<figure id="{name}"><div class="card"><img src="{source}" alt="{alt}"></div>'
    "<figcaption><strong>{title}.</strong> {caption} "
    '<a href="{name}.png">PNG, 300 dpi</a>, <a href="{name}.svg">SVG</a></figcaption></figure>'
)
LONG = 90  # characters of a cell that may be broken into lines


def _cell(text):
    return Markup("<td{}>{}</td>").format(Markup(' class="text"') if len(str(text)) > LONG else "", _inline(text))


def _inline(text):
    html = str(escape(str(text)))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    return Markup(re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', html))


def parse_grid(markdown):
    """Read the first table of a Markdown text and the paragraphs around it.

    Parameters
    ----------
    markdown : str

    Returns
    -------
    blocks : list
        In the order of the text.
    """
    blocks = []
    for part in filter(None, (part.strip() for part in markdown.split("\n\n"))):
        lines = part.splitlines()
        if part.startswith("#"):
            blocks.append(Heading(part.lstrip("# "), 3))
        elif part.startswith("|"):
            rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines]
            blocks.append(Grid(rows[0], tuple(rows[2:])))
        else:
            blocks.append(Text(" ".join(lines)))
    return blocks
