"""Interactive pages: scores, and the weight map on slices and on the surface."""

import warnings

from plotly.offline import get_plotlyjs

from facepain.report.figures.brain import weight_map
from facepain.report.figures.page import ALGORITHM_NAMES
from facepain.report.pages.brain_views import slices_view, surface_view
from facepain.report.pages.charts import SCORES, score_charts
from facepain.report.pages.shell import embed_json, fill, render_page

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


def write_pages(results, settings, outputs):
    """Write all interactive pages, which show the map of the settings, and the script that they share."""
    outputs.write_text(PLOTLY, get_plotlyjs())
    pages = scores_page(results), *weight_pages(results, settings)
    for name, (title, body, scripts) in zip(("scores", "weights-slices", "weights-surface"), pages, strict=True):
        outputs.write_text(f"{name}.html", render_page(title, body, results.synthetic, scripts))


def scores_page(results):
    """Return title, body and scripts of the page of scores."""
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
    return "Scores by mask and algorithm", body, (PLOTLY,)


def weight_pages(results, settings):
    """Return title, body and scripts of the two pages of the chosen weight map."""
    cell = results.regressions.get((settings["mask"], settings["algorithm"]))
    title = f"Average weight map, {settings['mask']}, {ALGORITHM_NAMES[settings['algorithm']]}"
    shown = None if cell is None else weight_map(cell, "weights_average", settings["percentile"], title)
    if shown is None or not shown.largest:
        why = "This model is not here: `make all` makes it." if cell is None else "All weights of this map are 0."
        body = fill('<p>{{ why }}</p><p><a href="report.html">Report</a></p>', why=why)
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
