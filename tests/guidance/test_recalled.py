"""Self-conditioning: where the gradient flows, who is told, and what is remembered for how long."""

import pytest
import torch
from torch import nn

from difflab.condition import Classes, Condition
from difflab.data import Batch, Scaling
from difflab.guidance import Given, Recalled, Remembering
from difflab.prediction import X0, Denoiser
from difflab.times import Uniform
from difflab.training import Diffusion
from tests.conftest import option


class Sum(nn.Module):
    """a x + b x0 + c class: what it is told of an earlier estimate can be read off its answer."""

    self_condition = True

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.tensor(v)) for v in (0.5, 0.25, 1.0))
        self.heard = []

    def c_noise(self, schedule, t):
        return t.float()

    def forward(self, x, c_noise, condition=None):
        self.heard.append(condition)
        told = Condition() if condition is None else condition
        x0 = torch.zeros_like(x) if told.x0 is None else told.x0
        classes = torch.zeros(len(x)) if told.classes is None else told.classes
        return self.a * x + self.b * x0 + self.c * classes.reshape(-1, 1)


@pytest.fixture
def denoise():
    """Predicts x_0 directly, of examples of the classes 0 to 3."""
    network = Sum()
    return Given(
        Denoiser(network, option("schedule", "linear"), X0(), Classes(0.1)), Condition(classes=torch.arange(4))
    )


X = torch.arange(8.0).reshape(4, 2) + 1
T = torch.full((4,), 0.5, dtype=torch.float64)


def test_training_tells_some_rows_the_first_estimate(denoise):
    told = torch.tensor([True, False, True, False])
    found = Recalled(denoise, told)(X, T).x0
    first = 0.5 * X + torch.arange(4.0)[:, None]
    expected = first + 0.25 * first * told[:, None]
    torch.testing.assert_close(found, expected)
    once, twice = denoise.network.heard
    assert once.x0 is None and torch.equal(once.classes, twice.classes)
    assert torch.equal(twice.x0, first * told[:, None])


def test_no_gradient_flows_through_the_first_estimate(denoise):
    """d/da of a x + b x0 with x0 = a x held fixed is x; through x0 it would be (1 + b) x."""
    found = Recalled(denoise, torch.ones(4, dtype=torch.bool))(X, T).x0
    assert not denoise.network.heard[1].x0.requires_grad
    (gradient,) = torch.autograd.grad(found.sum(), denoise.network.a)
    assert float(gradient) == float(X.sum())


def test_sampling_tells_each_call_the_estimate_of_the_one_before(denoise):
    seen = Remembering(denoise)
    first, second, third = (seen(x, T).x0 for x in (X, 2 * X, 3 * X))
    before = [told.x0 for told in denoise.network.heard]
    assert before[0] is None and torch.equal(before[1], first) and torch.equal(before[2], second)
    torch.testing.assert_close(third, 1.5 * X + 0.25 * second + torch.arange(4.0)[:, None])
    assert all(torch.equal(told.classes, torch.arange(4)) for told in denoise.network.heard)


def test_a_new_batch_remembers_nothing(denoise):
    Remembering(denoise)(X, T)
    Remembering(denoise)(X, T)
    assert [told.x0 for told in denoise.network.heard] == [None, None]


def test_a_condition_said_for_one_call_is_told_with_the_memory(denoise):
    seen = Remembering(denoise)
    first = seen(X, T)
    seen(X, T, condition=Condition(classes=torch.full((4,), 9)))
    now = denoise.network.heard[1]
    assert torch.equal(now.x0, first.x0) and (now.classes == 9).all()


def test_training_recalls_half_of_the_rows_and_validation_none():
    denoise = Denoiser(Sum(), option("schedule", "linear"), X0())
    module = Diffusion(denoise, option("loss", "simple"), Uniform(), option("optim", "adamw"), Scaling(256), 5)
    batches = [Batch(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), step, 0, 100) for step in range(4)]
    told = torch.stack([module.noised(batch, "train", Uniform())[0].told for batch in batches])
    assert 0.4 < float(told.double().mean()) < 0.6  # of 400 coins, four standard errors
    assert torch.equal(told[1], module.noised(batches[1], "train", Uniform())[0].told)
    assert not torch.equal(told[0], told[1])
    assert not isinstance(module.noised(batches[0], "val", Uniform())[0], Recalled)
