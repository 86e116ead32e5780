"""Interactive pages: scores, and the weight map on slices and on the surface, by nilearn's views as parts of a page."""

import re
import warnings

from markupsafe import Markup
from nibabel import Nifti1Image
from plotly.offline import get_plotlyjs

from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.brain import COLOURS, SHOWN, strongest, template, weight_map
from facepain.report.pages.charts import SCORES, score_charts
from facepain.report.pages.markup import embed_json, fill, render_page

PLOTLY = "plotly.min.js"  # one file that all pages share

CHART = """<p>{{ lead }}</p>
<div class="controls">
{% for name, options in choices.items() %}<label>{{ name }} <select id="choose-{{ loop.index0 }}">
{% for value, text in options.items() %}<option value="{{ value }}">{{ text }}</option>
{% endfor %}</select></label>
{% endfor %}</div>
<div class="card"><div id="chart" class="chart" role="img" aria-label="{{ alt }}"></div></div>
<noscript><p class="warning">This page needs JavaScript; the still figures beside it do not.</p></noscript>
<p class="quiet">{{ note }}</p>
<p><a href="{{ back }}">{{ back_name }}</a></p>
<script type="application/json" id="charts">{{ charts }}</script>
<script>
const charts = JSON.parse(document.getElementById("charts").textContent);
const choosers = [...document.querySelectorAll("[id^=choose-]")];
function show() {
  const {data, layout} = structuredClone(charts[choosers.map(chooser => chooser.value).join("|")]);
  const entries = data.filter(trace => trace.showlegend !== false).length;
  layout.showlegend = window.innerWidth >= 700 || entries <= 12;
  if (window.innerWidth < 700) {
    layout.legend = {orientation: "h", y: -0.25, yanchor: "top", x: 0};
    layout.margin = {l: 44, r: 6, t: 8, b: 40};
    layout.font.size = 11;
  }
  Plotly.react("chart", data, layout, {responsive: true, displaylogo: false});
}
for (const chooser of choosers) chooser.addEventListener("change", show);
show();
</script>"""

BRAIN = """<p>{{ lead }}</p>
<div class="card">{{ view }}</div>
<noscript><p class="warning">This page needs JavaScript; the still figures beside it do not.</p></noscript>
<p class="quiet">{{ note }}</p>
<p><a href="report.html">Report</a></p>"""

SCORES_TITLE = "Scores by mask and algorithm"
NOTHING = '<p>{{ why }}</p><p><a href="report.html">Report</a></p>'

VIEWS = {
    "slices": (
        "Click in a slice to move all three there; places are in mm (MNI).",
        "Grey on the colour scale is not drawn. Background: MNI152 template, as packaged with nilearn.",
    ),
    "the surface": (
        "Turn the surface with the pointer; choose hemisphere, surface and view below.",
        "Grey lies below that. Values of the mid-cortex on fsaverage5, as packaged with nilearn.",
    ),
}


# Both views end a page of their own in which ids are random and an icon is fetched from elsewhere.
BODY = re.compile(r"<body>(.*)</body>", flags=re.DOTALL)
RANDOM_ID = re.compile(r"(div_viewer|3Dviewer|spriteImg|overlayImg|colorMap|opacity|demo)-[0-9a-f]{32}")
SCRIPT = re.compile(r"<script>.*?</script>", flags=re.DOTALL)
JUST_BELOW = 1 - 1e-6  # nilearn hides a voxel at its threshold, the figures do not
# Sulci and gyri are black and white in nilearn's view, which drowns the map.
SULCI = {'"#000000"': '"#9a9a9a"', '"#ffffff"': '"#d2d2d2"', '"#959595"': '"#b6b6b6"'}
# nilearn draws with an old plotly.js of its own; in the one that our pages share, `plot` has another name.
# Its plot is as large as the window; ours is as large as its card.
ADAPTED = """<script>
Plotly.plot = (place, data) => Plotly.addTraces(place, data);
const layoutOfWindow = getLayout;
getLayout = (...chosen) => {
  const width = document.getElementById("surface-plot").parentElement.clientWidth - 16;
  const layout = layoutOfWindow(...chosen);
  for (const axis of ["xaxis", "yaxis", "zaxis"]) layout.scene[axis] = {visible: false};
  return {...layout, width, height: Math.min(0.66 * width, 0.8 * window.innerHeight)};
};
</script>"""


def write_pages(results, settings, outputs):
    """Write all interactive pages, which show the map of the settings, and the script that they share."""
    outputs.write_text(PLOTLY, get_plotlyjs())
    pages = scores_page(results), *weight_pages(results, settings)
    for name, (title, body, scripts) in zip(("scores", "weights-slices", "weights-surface"), pages, strict=True):
        outputs.write_text(f"{name}.html", render_page(title, body, results.synthetic, scripts))


def scores_page(results):
    """Return title, body and scripts of the page of scores."""
    if not results.regressions:
        return SCORES_TITLE, fill(NOTHING, why="No model is here: `make all` makes them."), ()
    charts = score_charts(results)
    options = {
        f"{score}|{scheme}": SCORES[score] + (f", null: {scheme}" if scheme != "none" else ", not tested")
        for score, scheme in charts
    }
    body = fill(
        CHART,
        lead="This chart shows the scores of every mask and algorithm. The dots are folds of the cross-validation; the "
        "diamonds come from a dataset that no model has seen. Click an entry of the legend to hide or show it; point "
        "at a mark for its numbers.",
        choices={"Score": options},
        alt="Scores of every mask and algorithm over folds with the null, the baseline and the test; Table 1 and "
        "Table 2 of the report hold the same numbers.",
        charts=embed_json({"|".join(key): chart for key, chart in charts.items()}),
        note="Grey: the middle 95 % of the mean score when scores are permuted; compare it with the mean over folds, "
        "not with single folds. A violin of so few folds shows their spread, not a distribution.",
        back="report.html",
        back_name="Report",
    )
    return SCORES_TITLE, body, (PLOTLY,)


def weight_pages(results, settings):
    """Return title, body and scripts of the two pages of the chosen weight map."""
    cell = results.regressions.get((settings["mask"], settings["algorithm"]))
    title = f"Average weight map, {settings['mask']}, {ALGORITHMS[settings['algorithm']].label}"
    shown = None if cell is None else weight_map(cell, "weights_average", settings["percentile"], title)
    if shown is None or not shown.largest:
        why = "This model is not here: `make all` makes it." if cell is None else "All weights of this map are 0."
        body = fill(NOTHING, why=why)
        return [(f"{title}, on {where}", body, ()) for where in VIEWS]
    note = (
        f"Average over {len(cell.folds)} folds; drawn are the {shown.n_shown()} of {cell.n_voxels} voxels whose "
        f"absolute weight is at least {shown.threshold:.3g}, the {settings['percentile']:g}th percentile. Red raises "
        f"the predicted score, blue lowers it; the unit is {' '.join(shown.unit.split())}. A weight is not an effect: "
        "it depends on all other voxels. "
    )
    with warnings.catch_warnings():
        # nilearn takes a percentile of its background's masked array; the background is the same for every map.
        warnings.filterwarnings("ignore", message=".*'partition' will ignore the 'mask'", category=UserWarning)
        views = slices_view(shown), surface_view(shown)
    return [
        (f"{title}, on {where}", fill(BRAIN, lead=lead, view=view, note=note + behind), scripts)
        for (where, (lead, behind)), view, scripts in zip(VIEWS.items(), views, ((), (PLOTLY,)), strict=True)
    ]


def slices_view(shown):
    """Show a map on three slices that follow the pointer; the body needs jQuery."""
    from nilearn.plotting import view_img  # takes seconds to import

    img, threshold = Nifti1Image(shown.shown, shown.img.affine), max(shown.threshold * JUST_BELOW, SHOWN)
    behind = template().slicer[::2, ::2, ::2]  # nilearn's own choice would be resampled, which takes a second
    view = view_img(
        img, bg_img=behind, threshold=threshold, vmax=shown.largest, cmap=COLOURS, symmetric_cmap=True, colorbar=True,
        title="", resampling_interpolation="nearest", black_bg=False, width_view=1000, cut_coords=strongest(img),
    )  # fmt: skip
    html = RANDOM_ID.sub(lambda found: f"{found[1]}-weights", view.html)
    return Markup(_body(html))


def surface_view(shown):
    """Show a map on the cortical surface, to be turned by hand; the body needs plotly.js."""
    from nilearn.plotting import view_img_on_surf

    view = view_img_on_surf(
        shown.img, threshold=max(shown.threshold, SHOWN), vmax=shown.largest, cmap=COLOURS, symmetric_cmap=True,
        colorbar=True, colorbar_fontsize=13, vol_to_surf_kwargs={"depth": [0.5]},
    )  # fmt: skip
    *scripts, last = (script for script in SCRIPT.findall(view.html) if "plotly.js (gl3d" not in script[:200])
    html = "".join([_body(view.html), *scripts, ADAPTED, last])
    for own, softer in SULCI.items():
        html = html.replace(own, softer)
    return Markup(html)


def _body(html):
    """Return what is between the body's tags, with names for its controls and pictures that readers need not see."""
    body = re.sub('alt="(background|colormap|overlay)"', 'alt=""', BODY.search(html)[1])
    body = body.replace('type="range"', 'type="range" aria-label="opacity in percent"')
    return re.sub(r'<select id="select-(\w+)">', r'<select id="select-\1" aria-label="\1">', body)
