"""Measure the engine's speed and memory beside scikit-learn's and nilearn's, on random images of the study's size.

``make bench`` takes some minutes. ``python tests/shared/bench.py --full`` measures what that extrapolates; ``--tiny``
only shows that the benchmark runs. docs/speed.md says what came out.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from nilearn.maskers import NiftiMasker
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "code"))

from facepain.data.anatomy import find_brain, mni_affine, mni_shape
from facepain.data.extraction import extract_signals, inspect_images
from facepain.inference.bootstrap import bootstrap_weights, draw_counts, fit_draw
from facepain.inference.permutation import permutation_test
from facepain.models.cross_validation import make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling, resample_rng
from facepain.simulation.images import pack_pair

N_RESAMPLES, N_FOLDS = 5000, 5
N_JOBS = min(2, os.cpu_count())
GIGABYTE = 1e9
# libsvm stops here at the latest; its time is then a lower bound.
LIBSVM_ITERATIONS = 2_000_000


@dataclass(frozen=True)
class Sizes:
    """Numbers of trials, voxels, resamples and images that a run measures with."""

    n_trials: int = 533
    n_participants: int = 34
    n_voxels: int = 216_734
    # Two numbers of draws, from whose difference the cost of one follows.
    bootstrap_draws: tuple = (100, 500)
    svr_permutations: int = 512
    step_mm: int = 3
    n_images: int = 60
    n_masker_images: int = 10
    growth_trials: tuple = (250, 500, 1000, 2000)
    growth_trials_voxels: int = 20_000
    growth_voxels: tuple = (25_000, 50_000, 100_000, 200_000)
    growth_draws: int = 10


SIZES = {
    "default": Sizes(),
    "full": Sizes(bootstrap_draws=(100, N_RESAMPLES), svr_permutations=N_RESAMPLES, n_images=797, growth_draws=50),
    "tiny": Sizes(
        n_trials=40,
        n_participants=8,
        n_voxels=300,
        bootstrap_draws=(2, 4),
        svr_permutations=3,
        step_mm=12,
        n_images=3,
        n_masker_images=2,
        growth_trials=(20, 40),
        growth_trials_voxels=100,
        growth_voxels=(100, 200),
        growth_draws=2,
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--full", action="store_true", help="extrapolate nothing of the engine's own times")
    amount.add_argument("--tiny", action="store_true", help="a few trials and voxels, to see that it runs")
    chosen = parser.parse_args()
    sizes = SIZES["full" if chosen.full else "tiny" if chosen.tiny else "default"]
    print(f"{sizes.n_trials} trials x {sizes.n_voxels:,} voxels in float32, {N_JOBS} workers; {describe_cpu()}")
    if hasattr(os, "getloadavg"):
        print(f"Processes that wanted a core in the last minute: {os.getloadavg()[0]:.1f}")
    if chosen.tiny:
        print("These sizes show that the benchmark runs; their figures mean nothing.")
    signals, y, groups = draw_study(sizes.n_trials, sizes.n_voxels, sizes.n_participants)
    # The engine comes first: what scikit-learn allocates must not count as its memory.
    closed_forms = measure_closed_forms(signals, y, groups)
    bootstrap = measure_bootstrap(signals, y, groups, sizes.bootstrap_draws)
    svr = measure_svr(signals, y, groups, sizes.svr_permutations)
    fold_fit = time_pipeline(signals, y, groups)
    libsvm, n_iterations = time_libsvm(signals, y, groups)
    report_resampling(closed_forms, bootstrap, svr, fold_fit, libsvm, n_iterations)
    report_extraction(sizes)
    report_growth(sizes)


def report_resampling(closed_forms, bootstrap, svr, fold_fit, libsvm, n_iterations):
    n_fits = N_RESAMPLES * N_FOLDS
    costs = {
        f"{name}, permutations with Gram matrix": (seconds, 5, fold_fit * n_fits)
        for name, seconds in closed_forms.items()
    }
    costs["ridge, bootstrap with z map"] = bootstrap.seconds, 120, fold_fit * N_RESAMPLES
    costs["svr, permutations"] = svr.seconds, 600, libsvm * n_fits
    print_table(
        f"Resampling: {N_RESAMPLES:,} permutations x {N_FOLDS} folds, {N_RESAMPLES:,} draws",
        ("what", "seconds", "of processors", "target", "scikit-learn", "ratio", "of processor time"),
        [
            (
                name,
                *(f"{seconds:.1f}" for seconds in ours),
                target,
                f"{theirs[0] / 3600:,.1f} h",
                *(f"{ratio:,.0f}" for ratio in theirs / ours),
            )
            for name, (ours, target, theirs) in costs.items()
        ],
    )
    print(f"  Components kept in a fold: {min(svr.n_components)} to {max(svr.n_components)}.")
    print("  Lasso and Ridge: measured in full.")
    print(f"  Bootstrap: {bootstrap.how}.")
    print(f"  SVR: {svr.how}.")
    print(
        f"  scikit-learn: one fit of PCA and Lasso to a fold, {fold_fit[0]:.1f} s, times {n_fits:,} or {N_RESAMPLES:,};"
    )
    print(f"  for the SVR one fit of libsvm to a fold's scores, {libsvm[0]:.2f} s ({n_iterations}), times {n_fits:,}.")
    print_table(
        "Memory of the bootstrap",
        ("what", "GB"),
        [
            ("images, float32", f"{bootstrap.images_size:.2f}"),
            ("most that the process held until its end", f"{bootstrap.peak[0]:.2f}"),
            ("most that one of its workers held, what it shares with the process included", f"{bootstrap.peak[1]:.2f}"),
            ("target: images and 1 GB", f"{bootstrap.images_size + 1:.2f}"),
            (f"weights of {N_RESAMPLES:,} draws, had they been kept", f"{bootstrap.kept_draws:.1f}"),
        ],
    )


def describe_cpu():
    """Return the model of the processor where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "processor unknown")


def draw_study(n_trials, n_voxels, n_participants):
    """Draw images whose spectrum falls as that of smooth images, and skewed scores that go with some of it.

    Returns
    -------
    signals : (n_trials, n_voxels) ndarray of float32
    y, groups : (n_trials,) ndarrays
    """
    rng = np.random.default_rng(1)
    groups = np.arange(n_trials) * n_participants // n_trials
    n_patterns = min(350, n_trials)
    patterns = rng.standard_normal((n_trials, n_patterns)) + rng.standard_normal((n_participants, n_patterns))[groups]
    y = np.maximum(0, np.round(6 * patterns[:, :5].sum(axis=1) / np.sqrt(5)))
    patterns = (patterns * np.geomspace(1, 0.15, n_patterns)).astype(np.float32)
    signals = np.empty((n_trials, n_voxels), np.float32)
    for start in range(0, n_voxels, 4096):
        block = signals[:, start : start + 4096]
        block[:] = patterns @ rng.standard_normal((n_patterns, block.shape[1]), np.float32)
        block += rng.standard_normal(block.shape, np.float32) + 2 * rng.standard_normal(block.shape[1], np.float32)
    return signals, y, groups


def clock():
    """Return the time and the processor time of this process and its workers, in s."""
    used = os.times()
    return np.array([time.perf_counter(), sum(used[:4])])


def measure_closed_forms(signals, y, groups):
    """Return the times of the permutation tests of Lasso and Ridge, from the images on."""
    seconds = {}
    for algorithm in ("lasso", "ridge"):
        started = clock()
        model = PCARegression(algorithm)
        folds = prepare_folds(
            StandardizedImages(signals, n_jobs=N_JOBS), make_folds(groups, n_folds=N_FOLDS), model, N_JOBS
        )
        permutation_test(folds, y, groups, model, "within", Resampling(N_RESAMPLES, 1, N_JOBS))
        seconds[algorithm] = clock() - started
    return seconds


@dataclass(frozen=True)
class BootstrapCost:
    """Times of all draws with Gram matrix and z map, how they were found, and sizes in GB."""

    seconds: np.ndarray
    how: str
    images_size: float
    peak: list
    kept_draws: float


def measure_bootstrap(signals, y, groups, n_draws):
    """Return the cost of a bootstrap of `N_RESAMPLES` draws from those of fewer."""
    seconds = [time_bootstrap(signals, y, groups, n) for n in n_draws]
    few, many = n_draws
    per_draw = np.maximum(0.0, seconds[1] - seconds[0]) / (many - few)
    how = f"from {few} draws ({seconds[0][0]:.1f} s) and {many} ({seconds[1][0]:.1f} s)"
    how += f": {1000 * per_draw[0]:.1f} ms a draw more"
    if many == N_RESAMPLES:
        how = "in full"
    return BootstrapCost(
        seconds=seconds[1] + (N_RESAMPLES - many) * per_draw,
        how=how,
        images_size=signals.nbytes / GIGABYTE,
        peak=peak_memory(),
        kept_draws=8 * N_RESAMPLES * signals.shape[1] / GIGABYTE,
    )


def time_bootstrap(signals, y, groups, n_draws):
    started = clock()
    bootstrap_weights(
        StandardizedImages(signals, n_jobs=N_JOBS), y, groups, PCARegression("ridge"), Resampling(n_draws, 1, N_JOBS)
    )
    return clock() - started


def peak_memory():
    """Return the most memory that this process, and any of its workers, has held so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return [resource.getrusage(who).ru_maxrss * unit / GIGABYTE for who in both]


@dataclass(frozen=True)
class SVRCost:
    """Times of all permutations, how they were found, and the components of each fold."""

    seconds: np.ndarray
    how: str
    n_components: list


def measure_svr(signals, y, groups, n_permutations):
    """Return the cost of `N_RESAMPLES` permutations of the SVR from that of fewer."""
    model = PCARegression("svr")
    folds = prepare_folds(
        StandardizedImages(signals, n_jobs=N_JOBS), make_folds(groups, n_folds=N_FOLDS), model, N_JOBS
    )
    started = clock()
    permutation_test(folds, y, groups, model, "within", Resampling(n_permutations, 1, N_JOBS))
    seconds = clock() - started
    how = "in full"
    if n_permutations < N_RESAMPLES:
        milliseconds = 1000 * seconds[0] / n_permutations / N_FOLDS
        how = f"from {n_permutations} permutations ({seconds[0]:.1f} s, {milliseconds:.1f} ms a fit), in proportion"
    return SVRCost(seconds * N_RESAMPLES / n_permutations, how, [fold.components.n_components for fold in folds])


def time_pipeline(signals, y, groups):
    """Return the times that scikit-learn takes to fit one fold, BLAS on all cores."""
    train_idx = make_folds(groups, n_folds=N_FOLDS)[0][0]
    X = signals[train_idx].astype(np.float64)
    X -= X.mean(axis=1, keepdims=True)
    X /= X.std(axis=1, keepdims=True)
    started = clock()
    make_pipeline(PCA(0.8, svd_solver="full"), Lasso(alpha=1)).fit(X, y[train_idx])
    return clock() - started


def time_libsvm(signals, y, groups):
    """Return the times of one libsvm fit on the component scores of a fold, and whether it was cut short."""
    first = make_folds(groups, n_folds=N_FOLDS)[:1]
    folds = prepare_folds(StandardizedImages(signals, n_jobs=N_JOBS), first, PCARegression("svr"), N_JOBS)
    scores = folds[0].components.train_scores()
    svm = SVR(kernel="linear", max_iter=LIBSVM_ITERATIONS)
    started = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        svm.fit(scores, y[folds[0].train_idx])
    seconds = clock() - started
    n_done = int(np.max(svm.n_iter_))
    return seconds, f"cut short at {n_done:,} iterations" if n_done >= LIBSVM_ITERATIONS else f"{n_done:,} iterations"


def report_extraction(sizes):
    """Time the extraction and nilearn's masker on the same new files."""
    shape, mask = mni_shape(sizes.step_mm), find_brain(sizes.step_mm)
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number:03}.hdr" for number in range(sizes.n_images)]
        for path in paths:
            header, image = pack_pair(rng.integers(-3000, 3000, shape, dtype=np.int16), sizes.step_mm)
            path.write_bytes(header)
            path.with_suffix(".img").write_bytes(image)

        started = time.perf_counter()
        images = inspect_images(paths, {"analyze_orientation": "unknown", "mixed_grids": "refuse"})
        signals = np.empty((len(paths), int(mask.sum())), np.float32)
        extract_signals(images, mask, signals, lambda: None)
        ours = (time.perf_counter() - started) / len(paths)

        few = paths[: sizes.n_masker_images]
        theirs, theirs_signals = time_masker(mask, sizes.step_mm, few)
        # As the mask's file comes, on a 2 mm grid, the masker brings every image to the mask instead.
        resampling = time_masker(find_brain(), 2, few[:2])[0]
        difference = np.abs(signals[: len(few)] - theirs_signals).max()
    print_table(
        f"Extraction of int16 .hdr and .img, {' x '.join(map(str, shape))} voxels, {mask.sum():,} in the brain",
        ("what", "ms an image", "times as long", "target"),
        [
            (f"ours, {len(paths)} images, checks included", f"{1000 * ours:.2f}", 1, ""),
            (f"NiftiMasker.transform, {len(few)} images", f"{1000 * theirs:.1f}", f"{theirs / ours:.0f}", 20),
            ("the same with the mask on its own 2 mm grid", f"{1000 * resampling:.1f}", f"{resampling / ours:.0f}", 20),
        ],
    )
    print(f"  Largest difference between the values of the first two: {difference:g}.")


def time_masker(mask, step_mm, paths):
    """Return the seconds that nilearn's masker takes for an image, and the voxels that it finds."""
    masker = NiftiMasker(nibabel.Nifti1Image(mask.astype(np.uint8), mni_affine(step_mm)), standardize=None).fit()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "imgs are being resampled")
        started = time.perf_counter()
        signals = [masker.transform(as_single_file(path)).ravel() for path in paths]
    return (time.perf_counter() - started) / len(paths), signals


def as_single_file(path):
    """Open a pair as the only kind of image that nilearn's masker takes; its voxels are read later."""
    pair = nibabel.load(path)
    return nibabel.Nifti1Image(pair.dataobj, pair.affine, pair.header)


def report_growth(sizes):
    """Show how costs grow with trials and with voxels."""
    title = f"Growth with trials ({sizes.growth_trials_voxels:,} voxels)"
    costs = "Gram and folds, s", "5,000 x 5 ridge permutations, s", "one bootstrap draw, ms", "z map, s"
    rows = [(f"{n:,}", *growth_row(n, sizes.growth_trials_voxels, sizes.growth_draws)) for n in sizes.growth_trials]
    print_table(title, ("trials", *costs), rows)
    rows = [(f"{n:,}", *growth_row(sizes.n_trials, n, sizes.growth_draws)) for n in sizes.growth_voxels]
    print_table(f"Growth with voxels ({sizes.n_trials} trials)", ("voxels", *costs), rows)
    print("  A draw is timed on one worker (the median of some), the rest on all of them.")


def growth_row(n_trials, n_voxels, n_draws):
    signals, y, groups = draw_study(n_trials, n_voxels, max(8, n_trials // 16))
    model, started = PCARegression("ridge"), time.perf_counter()
    images = StandardizedImages(signals, n_jobs=N_JOBS)
    folds = prepare_folds(images, make_folds(groups, n_folds=N_FOLDS), model, N_JOBS)
    prepared = time.perf_counter()
    permutation_test(folds, y, groups, model, "within", Resampling(N_RESAMPLES, 1, N_JOBS))
    permuted = time.perf_counter()
    # Images keep their Gram matrix: of two draws little is left but the z map.
    bootstrap_weights(images, y, groups, model, Resampling(2, 1, N_JOBS))
    mapped = time.perf_counter()
    draw = np.median([time_draw(images, y, groups, model, index) for index in range(n_draws)])
    return f"{prepared - started:.2f}", f"{permuted - prepared:.2f}", f"{1000 * draw:.1f}", f"{mapped - permuted:.2f}"


@threadpool_limits.wrap(1, user_api="blas")
def time_draw(images, y, groups, model, index):
    started = time.perf_counter()
    fit_draw(images, y, model, draw_counts(groups, "participant", resample_rng(1, index)))
    return time.perf_counter() - started


def print_table(title, heads, rows):
    """Print a table in columns of fixed width, at once."""
    cells = [tuple(map(str, row)) for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
