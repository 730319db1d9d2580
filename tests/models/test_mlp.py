import pytest
import torch

from difflab.condition import UNKNOWN, Condition
from difflab.models import MLP, StepIndex


def test_points_need_no_image():
    model = MLP(shape=(2,), c_noise=StepIndex(), width=16, blocks=2, dropout=0.0)
    assert model(torch.randn(5, 2), torch.zeros(5)).shape == (5, 2)


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match=r"model\.width: 7; "):
        MLP(shape=(2,), c_noise=StepIndex(), width=7, blocks=2, dropout=0.0)


def test_classes_are_told_row_by_row_and_unknown_is_untold():
    model = MLP(shape=(2,), c_noise=StepIndex(), width=16, blocks=2, dropout=0.0, classes=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
        x, c_noise = torch.randn(3, 2), torch.zeros(3)
        untold = model(x, c_noise)
        told = model(x, c_noise, Condition(classes=torch.tensor([UNKNOWN, 2, 0])))
    assert torch.equal(told[0], untold[0])
    assert (told[1:] != untold[1:]).any(1).all()
    plain = MLP(shape=(2,), c_noise=StepIndex(), width=16, blocks=2, dropout=0.0)
    assert model.state_dict().keys() - plain.state_dict().keys() == {"classes.table.weight"}
