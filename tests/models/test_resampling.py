from functools import partial

import pytest
import torch
from torch.nn import functional

from difflab.models import Convolutions, ResidualBlocks
from difflab.models.unet_blocks import Residual, norm

X, TIME = torch.arange(2 * 4 * 6 * 8.0).reshape(2, 4, 6, 8), torch.zeros(2, 3)
BLOCK = partial(Residual, c_time=3, dropout=0.0, norm=partial(norm, groups=2, eps=1e-6), scale_shift=False)


@pytest.mark.parametrize(("symmetric", "first"), [(True, 0), (False, 1)])
def test_the_padding_says_which_pixels_the_way_down_looks_at(symmetric, first):
    """A kernel of one in its middle takes every second pixel: from the first on where all sides are padded."""
    layer = Convolutions(symmetric).down(4, BLOCK)
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.bias.zero_()
        layer.conv.weight[range(4), range(4), 1, 1] = 1
        assert torch.equal(layer(X, TIME), X[..., first::2, first::2])


def test_a_fresh_residual_block_is_the_mean_of_four_pixels_down_and_each_pixel_four_times_up():
    with torch.no_grad():
        assert torch.equal(ResidualBlocks().down(4, BLOCK)(X, TIME), functional.avg_pool2d(X, 2))
        assert torch.equal(ResidualBlocks().up(4, BLOCK)(X, TIME), X.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_a_residual_block_resizes_before_its_convolutions():
    """Where the image is constant, resizing changes nothing but the size."""
    block = ResidualBlocks().down(4, BLOCK)
    torch.nn.init.normal_(block.conv2.weight)
    x = torch.randn(2, 4, 1, 1).expand(2, 4, 8, 8)
    alike = BLOCK(4, 4)
    alike.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(x, TIME), alike(x[..., :4, :4], TIME), rtol=1e-5, atol=1e-5)
