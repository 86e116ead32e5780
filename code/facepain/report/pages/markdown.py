"""Write Markdown, turn it into HTML, and keep what comes from data from being taken for markup in either."""

import re
from html import escape
from itertools import pairwise
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markupsafe import Markup

# Spreadsheets take a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@")


def plain(text):
    """Escape a text that comes from data, so that it stands in Markdown and HTML as it is."""
    text = escape(str(text), quote=False).replace("\n", " ")
    text = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", text)
    return f"\\{text}" if text.startswith(FORMULA) else text


def table(header, rows):
    """Write a table; cells are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def bullets(texts):
    return "\n".join(f"- {text}" for text in texts)


def picture(name, said):
    """Write a figure with its caption; the alternative text is what it shows. All three may name what data do."""
    title, caption, alt = (plain(said[key]) for key in ("title", "caption", "alt"))
    return f"![{alt}]({name}.png)\n\n**{title}.** {caption} [PNG]({name}.png), [SVG]({name}.svg)"


def anchor(heading):
    """Return the id of a heading, as hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def contents(markdown):
    """List the headings of the second and third level, each with a link."""
    found = re.findall(r"^(##|###) (.+)$", markdown, flags=re.MULTILINE)
    return "\n".join(f"{'  ' * (len(level) - 2)}- [{text}](#{anchor(text)})" for level, text in found)


def to_html(markdown, source_of):
    """Turn Markdown into HTML; HTML in it is shown as text.

    ``source_of`` takes the address of a picture and returns what its ``src`` is to be.
    """
    converter = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = converter.parse(markdown)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(following.content))
        elif token.type == "inline" and token.children and token.children[0].type == "image":
            image = token.children[0]
            image.attrSet("src", source_of(unquote(image.attrGet("src"))))
        elif token.type == "td_open" and len(following.content) > 60:
            token.attrSet("class", "text")
    # A number stays on the line of its sign of per cent, and of its = or its \N{LESS-THAN OR EQUAL TO}.
    html = re.sub(
        r"(?<=\d) (?=%)|(?<=[=\u2264]) (?=[\d\u2212])",
        "\N{NO-BREAK SPACE}",
        converter.renderer.render(tokens, converter.options, {}),
    )
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    html = re.sub(
        r"<p>(<img [^>]*>)</p>\n<p>(.*?)</p>", r"<figure>\1<figcaption>\2</figcaption></figure>", html, flags=re.DOTALL
    )
    return Markup(html.replace("<th>", '<th scope="col">'))
