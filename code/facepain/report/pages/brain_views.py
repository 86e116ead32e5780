"""nilearn's interactive views of a map, on slices and on the cortical surface, as parts of a page of ours."""

import re

from markupsafe import Markup
from nibabel import Nifti1Image

from facepain.report.figures.brain import COLOURS, SHOWN, strongest, template

# Both views end a page of their own in which ids are random and an icon is fetched from elsewhere.
BODY = re.compile(r"<body>(.*)</body>", flags=re.DOTALL)
RANDOM_ID = re.compile(r"(div_viewer|3Dviewer|spriteImg|overlayImg|colorMap|opacity|demo)-[0-9a-f]{32}")
SCRIPT = re.compile(r"<script>(.*?)</script>", flags=re.DOTALL)
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
    return Markup(_require_offline(_body(html)))


def surface_view(shown):
    """Show a map on the cortical surface, to be turned by hand; the body needs plotly.js."""
    from nilearn.plotting import view_img_on_surf

    view = view_img_on_surf(
        shown.img, threshold=max(shown.threshold, SHOWN), vmax=shown.largest, cmap=COLOURS, symmetric_cmap=True,
        colorbar=True, colorbar_fontsize=13, vol_to_surf_kwargs={"depth": [0.5]},
    )  # fmt: skip
    scripts = [script for script in SCRIPT.findall(view.html) if "plotly.js (gl3d" not in script[:200]]
    if len(scripts) != 4:
        raise RuntimeError(f"nilearn's view has {len(scripts)} scripts beside plotly.js; expected 4")
    for own, softer in SULCI.items():
        scripts = [script.replace(own, softer) for script in scripts]
    scripts = [f"<script>{script}</script>" for script in scripts]
    return Markup(_require_offline("".join([_body(view.html), *scripts[:-1], ADAPTED, scripts[-1]])))


def _body(html):
    """Return what is between the body's tags, with names for its controls and pictures that readers need not see."""
    body = re.sub('alt="(background|colormap|overlay)"', 'alt=""', BODY.search(html)[1])
    body = body.replace('type="range"', 'type="range" aria-label="opacity in percent"')
    return re.sub(r'<select id="select-(\w+)">', r'<select id="select-\1" aria-label="\1">', body)


def _require_offline(html):
    outside = re.findall(r"""(?:src|href)\s*=\s*["']https?://[^"']+""", html)
    if outside:
        raise RuntimeError(f"nilearn's view fetches from elsewhere: {outside[0]}")
    return html
