"""What holds for every network."""

import pytest
import torch

from tests.conftest import composed, option, options

TRAINED = [name for name in options("model") if name != "exact" and not name.startswith("oracle")]
SMALL = {
    "unet_cifar10": ("model.channels=8", "model.groups=4"),
    "unet_improved": ("model.channels=8", "model.groups=4", "model.blocks=1"),
    "unet_adm": ("model.channels=8", "model.groups=4", "model.blocks=1", "model.head_channels=4"),
    **dict.fromkeys(("ddpmpp", "ncsnpp"), ("model.channels=8", "model.embedding.channels=8", "model.blocks=1")),
    "vdm": ("model.channels=8", "model.groups=4", "model.blocks=1"),
    **dict.fromkeys(("dit_s", "dit_b", "dit_l", "dit_xl"), ("model.width=16", "model.heads=2", "model.blocks=2")),
}


def network(name, shape):
    """With its own YAML, the large ones in small, and every weight drawn: fresh networks answer zero."""
    torch.manual_seed(0)
    model = option("model", name, *SMALL.get(name, ()), shape=shape).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.1)
    return model


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 8)])
@pytest.mark.parametrize("name", TRAINED)
def test_the_output_has_the_shape_of_the_input_and_a_sample_is_alone_in_its_batch(name, shape):
    model = network(name, shape)
    x, c_noise = torch.randn(3, *shape), torch.tensor([0.0, 10.0, 999.0])
    with torch.no_grad():
        together = model(x, c_noise)
        alone = torch.cat([model(x[i : i + 1], c_noise[i : i + 1]) for i in range(3)])
    assert together.shape == x.shape
    assert together.std() > 1e-3
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_every_pixel_and_the_time_reach_every_output(name):
    model = network(name, (1, 8, 8))
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    model(x, torch.tensor([5.0]))[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()
    with torch.no_grad():
        assert (model(x, torch.tensor([5.0])) != model(x, torch.tensor([6.0]))).all()


@pytest.mark.parametrize("name", TRAINED)
def test_a_fresh_network_answers_zero_and_learns(name):
    """But for the one that answers x."""
    model = option("model", name, *SMALL.get(name, ()), shape=(1, 8, 8))
    x, c_noise = torch.randn(4, 1, 8, 8), torch.arange(4.0)
    beside = x if name == "vdm" else 0
    assert (model(x, c_noise) - beside).abs().max() <= (1e-4 if name in ("ddpmpp", "ncsnpp") else 0)  # as published
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(4):  # weights behind zeros get their first gradient when those have moved
        optimiser.zero_grad()
        (model(x, c_noise) - x.flip(0)).square().mean().backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", [name for name in TRAINED if "dropout" in composed(f"model={name}").model])
def test_dropout_is_of_training_only(name):
    model = option("model", name, *SMALL.get(name, ()), "model.dropout=0.5", shape=(1, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.1)
    x, c_noise = torch.randn(2, 1, 8, 8), torch.zeros(2)
    assert not torch.equal(model.train()(x, c_noise), model(x, c_noise))
    assert torch.equal(model.eval()(x, c_noise), model(x, c_noise))


@pytest.mark.parametrize("name", TRAINED)
def test_it_is_told_the_index_of_the_step(name):
    """k - 1: what published weights were trained on."""
    model = option("model", name, *SMALL.get(name, ()), shape=(1, 8, 8))
    for T in (50, 1000, 4000):
        schedule = option("schedule", "cosine", f"schedule.T={T}")
        told = model.c_noise(schedule, torch.arange(1, T + 1, dtype=torch.float64) / T)
        assert told.dtype == torch.float32
        torch.testing.assert_close(told, torch.arange(T).float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", TRAINED)
def test_more_outputs_are_further_channels(name):
    model = option("model", name, *SMALL.get(name, ()), shape=(3, 8, 8), outputs=2)
    assert model(torch.randn(2, 3, 8, 8), torch.zeros(2)).shape == (2, 6, 8, 8)
