import pytest
import torch

from difflab.models import MLP, StepIndex


def test_points_need_no_image():
    model = MLP(shape=(2,), c_noise=StepIndex(), width=16, blocks=2, dropout=0.0)
    assert model(torch.randn(5, 2), torch.zeros(5)).shape == (5, 2)


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match=r"model\.width: 7; "):
        MLP(shape=(2,), c_noise=StepIndex(), width=7, blocks=2, dropout=0.0)
