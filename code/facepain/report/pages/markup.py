"""What all pages are written with: Markdown, HTML, one look in light and dark, no reference to elsewhere.

Texts that come from data are never taken for markup.
"""

import json
import re
from html import escape
from itertools import pairwise
from urllib.parse import unquote

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup
from plotly.utils import PlotlyJSONEncoder

from facepain.report.figures.page import SYNTHETIC_LABEL

# Spreadsheets take a cell that begins so for a formula.
FORMULA = ("=", "+", "-", "@")

# A template in a module and not in a file beside it: what a result is made from is found by following imports.
STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fbfbfa; --quiet: #595959; --line: #d4d4d0; --link: #0b5cad;
  --warn-ink: #7a2e00; --warn-paper: #fdf0e3; --band: #f1f1ee; --shade: #0003; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --paper: #16181a; --quiet: #a9acb0; --line: #3c4045;
  --link: #85bbf2; --warn-ink: #ffc48f; --warn-paper: #38281a; --band: #212428; --shade: #fff4; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1rem clamp(0.8rem, 3vw, 2rem) 4rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h2 { margin-top: 2.6rem; border-bottom: 1px solid var(--line); padding-bottom: 0.2rem; }
p, li { max-width: 46rem; overflow-wrap: break-word; }
a { color: var(--link); }
code { font-size: 0.9em; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--band); padding: 0.7rem; border-radius: 4px; }
.warning { color: var(--warn-ink); background: var(--warn-paper); padding: 0.5rem 0.8rem; border-radius: 4px;
  font-weight: 600; }
.quiet, figcaption { color: var(--quiet); font-size: 0.92rem; }
figure { margin: 1.8rem 0; }
figcaption { max-width: 46rem; overflow-wrap: break-word; }
.card { background: #fff; color: #1b1b1b; border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem;
  color-scheme: light; }
figure img { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; padding: 0.5rem; }
blockquote { margin: 1rem 0; padding: 0.1rem 0.9rem; max-width: 46rem; color: var(--warn-ink);
  background: var(--warn-paper); border-radius: 4px; }
main > ul:first-of-type { columns: 18rem 2; font-size: 0.92rem; }
@media (max-width: 40rem) { main > ul:first-of-type ul { display: none; }
  td:first-child { white-space: normal; min-width: 7rem; } }
/* A shadow at the edge beyond which a wide table goes on. */
.scroll { overflow-x: auto; max-width: 100%; margin: 1rem 0; background:
  linear-gradient(to right, var(--paper) 30%, transparent) left / 2.5rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 30%, transparent) right / 2.5rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / 0.9rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / 0.9rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; }
th { border-bottom: 2px solid var(--line); white-space: normal; }
td code { overflow-wrap: normal; }
td.text { white-space: normal; min-width: 14rem; }
.controls { display: flex; flex-wrap: wrap; gap: 0.6rem 1.2rem; margin: 1rem 0; }
.controls label { display: inline-flex; flex-wrap: wrap; gap: 0.4rem; align-items: center; }
select, input, button { font: inherit; max-width: 100%; }
.chart { width: 100%; height: min(36rem, 85vh); }
@media print {
  :root { --ink: #000; --paper: #fff; --quiet: #333; --line: #bbb; --link: #000; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } main > ul:first-of-type ul { display: none; }
  .scroll { overflow: visible; background: none; } table { width: 100%; font-size: 7pt; }
  th, td { white-space: normal; padding: 0.15rem 0.2rem; } td code { white-space: normal; overflow-wrap: anywhere; }
  td.text { min-width: 0; } pre { white-space: pre-wrap; overflow-wrap: anywhere; } .controls { display: none; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
{% for script in scripts %}<script src="{{ script }}"></script>
{% endfor -%}
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% if synthetic %}<p class="warning">{{ label }}.</p>
{% endif -%}
{{ body }}
</main>
</body>
</html>
"""

_templates = Environment(autoescape=True, trim_blocks=False, keep_trailing_newline=True)


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
    """Turn Markdown into HTML, HTML in it into text, and a picture's address into what ``source_of`` returns for it."""
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


def fill(template, **values):
    """Fill a template; whatever is not `Markup` is escaped."""
    return Markup(_templates.from_string(template).render(**values))


def render_page(title, body, synthetic, scripts=()):
    """Put a body into a page, with scripts relative to it; simulated data are labelled above everything else."""
    label = {"synthetic": synthetic, "label": SYNTHETIC_LABEL}
    return str(fill(PAGE, title=title, style=Markup(STYLE), body=body, scripts=scripts, **label))


def embed_json(content):
    """Write JSON, also of plotly's figures, that a script element can hold: no text in it can end the element."""
    text = json.dumps(content, cls=PlotlyJSONEncoder, sort_keys=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
