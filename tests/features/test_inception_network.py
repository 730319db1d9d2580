"""The resize for Inception against torch-fidelity's own; the whole network is compared in test_inception.py."""

import pytest
import torch
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from difflab.features.inception_network import resized


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (7, 13), (32, 32), (299, 299), (400, 310)])
def test_resizing_is_torch_fidelity_s_bit_for_bit(shape):
    x = torch.randint(256, (2, 3, *shape), generator=torch.Generator().manual_seed(0)).float()
    theirs = interpolate_bilinear_2d_like_tensorflow1x(x, (299, 299), align_corners=False)
    before = x.clone()
    assert torch.equal(resized(x, 299), theirs)
    assert torch.equal(x, before)
