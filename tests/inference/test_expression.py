"""Expression of maps: equal to NumPy's products, and never of a model in its own training trials."""

import numpy as np
import pytest

from errors import InputError
from facepain.inference.similarity import express_maps, require_foreign


def test_expression_equals_plain_products(rng):
    signals, maps = rng.normal(2, 3, size=(6, 50)).astype(np.float32), rng.normal(size=(3, 50))
    for values, (dot, cosine, r) in zip(maps, express_maps(signals, maps), strict=True):
        np.testing.assert_allclose(dot, signals.astype(float) @ values)
        lengths = np.linalg.norm(signals.astype(float), axis=1) * np.linalg.norm(values)
        np.testing.assert_allclose(cosine, dot / lengths)
        np.testing.assert_allclose(r, [np.corrcoef(image, values)[0, 1] for image in signals], rtol=1e-6)


def test_constant_maps_and_images_express_nothing(rng):
    assert not express_maps(np.zeros((2, 5)), rng.normal(size=(1, 5))).any()
    assert not express_maps(rng.normal(size=(2, 5)), np.ones((1, 5)))[0, 2].any()


def test_the_study_s_own_map_is_no_signature(rng):
    maps = rng.normal(size=(2, 50))
    require_foreign(["a", "b"], maps, rng.normal(size=50))
    with pytest.raises(
        InputError, match=r"signature b is the weight map of this study's own model .* out of fold anyway"
    ):
        require_foreign(["a", "b"], maps, np.round(3 * maps[1], 4))
