from __future__ import annotations

import numpy as np
import pytest

from testbed.models import inputs
from testbed.models.onnx_file import TensorSpec

IMAGE = TensorSpec("image", "uint8", (1, 3, 224, 224))


def test_by_default_there_are_32_different_photos_and_the_seed_decides_them() -> None:
    first, again, other = (inputs.for_specs([IMAGE], seed=seed) for seed in (0, 0, 1))
    images = [tensors["image"] for tensors in first]
    assert len({image.tobytes() for image in images}) == len(images) == 32
    assert all(image.shape == IMAGE.shape and image.dtype == np.uint8 for image in images)
    assert all(image.std() > 5 for image in images)
    assert all(np.array_equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))


def test_a_photo_keeps_its_layout() -> None:
    ((first,), (last,)) = (
        inputs.for_specs([TensorSpec("image", "uint8", shape)], 1) for shape in ((1, 3, 64, 96), (1, 64, 96, 3))
    )
    np.testing.assert_array_equal(first["image"].transpose(0, 2, 3, 1), last["image"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32, 3)])
def test_a_network_that_takes_floats_gets_photos_normalised_with_imagenet_figures(
    dtype: str, shape: tuple[int, ...]
) -> None:
    (floats,) = inputs.for_specs([TensorSpec("x", dtype, shape)], 1)
    (bytes_,) = inputs.for_specs([TensorSpec("x", "uint8", shape)], 1)
    assert floats["x"].dtype == dtype
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    channels = (1, 3, 1, 1) if shape[1] == 3 else (1, 1, 1, 3)
    expected = (bytes_["x"] / 255 - mean.reshape(channels)) / deviation.reshape(channels)
    np.testing.assert_allclose(floats["x"], expected, atol=2e-3)


def test_tokens_stay_within_the_table_and_a_mask_hides_none() -> None:
    specs = [TensorSpec("ids", "int32", (1, 128), 100), TensorSpec("mask", "int64", (1, 128))]
    sets = inputs.for_specs(specs, 40)
    assert len({tensors["ids"].tobytes() for tensors in sets}) == 40
    every = np.concatenate([tensors["ids"] for tensors in sets])
    assert (every.min(), every.max(), every.dtype) == (0, 99, np.int32)
    assert all((tensors["mask"] == 1).all() for tensors in sets)


def test_other_floats_are_noise() -> None:
    sets = inputs.for_specs([TensorSpec("x", "float32", (4, 100))], 32)
    assert np.std([tensors["x"] for tensors in sets]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", inputs.PHOTOS)
def test_photos_are_in_the_wheel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its downloader scikit-image can give only what it carries."""
    from skimage.data import _fetchers

    monkeypatch.setattr(_fetchers, "_image_fetcher", None)
    random = np.random.default_rng(0)
    monkeypatch.setattr(inputs, "PHOTOS", (name,))
    (crop,) = inputs.crops(1, 50, 70, random)
    assert crop.shape == (50, 70, 3)
