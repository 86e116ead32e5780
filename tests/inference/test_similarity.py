"""Similarity of weight maps: equal to explicit maps, uniform under the null, planted networks found."""

import numpy as np
import pytest
from validity import Study, distance_from_uniform, similarity_p

from facepain.inference.permutation import TrialPermuter
from facepain.inference.similarity import familywise_p, map_products, similarity_of_maps, spatial_p
from facepain.models.pca_regression import PCARegression, fit_coefficients, fit_components
from facepain.models.standardize import StandardizedImages

N_PARTICIPANTS, N_EACH, SHAPE = 10, 4, (7, 8, 9)
GROUPS = np.repeat(np.arange(N_PARTICIPANTS), N_EACH)
ONES = np.ones(len(GROUPS), dtype=int)
N_VOXELS = int(np.prod(SHAPE))


def fit_duals(images, Y, model):
    components = fit_components(images.gram(ONES), model.explained_variance)
    coef, intercept = fit_coefficients(components, Y, model)
    return components.to_dual(coef, intercept)[0]


@pytest.mark.parametrize("standardize", ["image", "voxel"])
@pytest.mark.parametrize("algorithm", ["lasso", "svr"])
def test_similarities_equal_those_of_explicit_maps(rng, standardize, algorithm):
    images = StandardizedImages(rng.normal(size=(len(GROUPS), N_VOXELS)) * rng.uniform(1, 3, N_VOXELS), standardize)
    maps = rng.normal(size=(3, N_VOXELS)) + 0.3
    inside = rng.random(N_VOXELS) < 0.3
    model = PCARegression(algorithm, **({"alpha": 0.01} if algorithm == "lasso" else {}))
    duals = fit_duals(images, rng.normal(size=(len(GROUPS), 2)), model)
    products = map_products(images, maps, {"all": np.ones(N_VOXELS, bool), "part": inside})
    weights, _ = images.weights(duals, np.zeros(2), ONES)
    for name, voxels in (("all", slice(None)), ("part", inside)):
        found = products[name].similarity(duals)
        for fit in range(2):
            expected = similarity_of_maps(weights[voxels, fit], maps[:, voxels])
            np.testing.assert_allclose(found[:, :, fit], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(similarity_of_maps(maps[0], maps[:1]), 1.0)
    # A map that is 0 here is like no other; a constant one has a cosine and no correlation.
    for others in ([np.zeros(N_VOXELS), np.full(N_VOXELS, 0.1)], [np.full(N_VOXELS, 0.1)]):
        undefined = np.isnan(similarity_of_maps(maps[0], others))
        np.testing.assert_array_equal(undefined, [[True, False], [True, True]] if others[1:] else [[False], [True]])
    undefined = np.isnan(similarity_of_maps(np.full(N_VOXELS, 0.1), maps[:1]))
    np.testing.assert_array_equal(undefined, [[False], [True]])
    np.testing.assert_allclose(similarity_of_maps(maps[0], [maps[1], 1e-13 * maps[1]]).std(axis=1), 0, atol=1e-12)


@pytest.mark.slow
def test_p_is_uniform_where_scores_and_images_are_unrelated():
    # docs/validity.md has 500 studies.
    p = np.array([similarity_p(study, Study(n_participants=10), 39) for study in range(60)])
    for values in p.T[:2]:
        assert distance_from_uniform(values, 39)[1] > 0.001


def test_the_planted_network_is_found_and_no_other(rng):
    pattern, network = rng.normal(size=90), np.arange(90) < 30
    pattern[~network] = 0
    y = rng.normal(size=len(GROUPS))
    images = StandardizedImages(np.outer(y, pattern) + rng.normal(size=(len(GROUPS), 90)))
    sets = {"planted": network, "second": (np.arange(90) >= 30) & (np.arange(90) < 60), "third": np.arange(90) >= 60}
    signature = pattern + np.where(network, 0, rng.normal(size=90))
    products = map_products(images, signature[None], sets)
    orders = [np.arange(len(y)), *(TrialPermuter(GROUPS, "within").draw(rng) for _ in range(199))]
    duals = fit_duals(images, y[np.array(orders).T], PCARegression("ridge"))
    values = np.concatenate([products[name].similarity(duals)[0] for name in sets])
    p, p_familywise = familywise_p(values[:, 0], values[:, 1:])
    assert p[0] == pytest.approx(1 / 200) and p_familywise[0] <= 0.05 and np.all(p_familywise[1:] > 0.05)
    assert np.all(p_familywise >= p)
    # Permuting within participants leaves what these have in common: the null need not lie about 0.
    again = familywise_p(values[:, 0] + 30, values[:, 1:] + 30)
    np.testing.assert_allclose(again, (p, p_familywise))
    # A permutation that gives the scores back counts, whatever rounding leaves of the tie.
    ties = familywise_p([0.3], np.array([[0.3 - 1e-15, 0.2, 0.1, 0.0, 0.1]]))
    assert [p[0] for p in ties] == [0.5, 0.5]


def smooth_field(rng, inside):
    volume = rng.normal(size=inside.shape)
    for axis in range(3):
        volume = volume + np.roll(volume, 1, axis) + np.roll(volume, -1, axis)
    return volume[inside]


def test_the_spatial_p_is_calibrated_for_smooth_stationary_maps():
    inside = np.ones((9, 10, 11), bool)
    inside[:2, :2] = False
    p, naive = [], []
    for study in range(150):
        rng = np.random.default_rng([11, study])
        one, other = smooth_field(rng, inside), smooth_field(rng, inside)
        p.append(spatial_p(one, other[None], inside)[0])
        r = np.corrcoef(one, other)[0, 1]
        naive.append(abs(r) * np.sqrt(len(one)) > 1.96)
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert np.mean(naive) > 0.2
    np.testing.assert_array_equal(spatial_p(one, [one, np.ones(len(one))], inside), [0, 1])
