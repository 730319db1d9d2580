"""Our samplers and the schedulers of diffusers take the same step from the same state, on the same grid and noise.

Their tables are float32 and ours float64, so the tables are compared first, and then put in place of theirs. Their
"linspace" spacing has wrong previous steps, and their other grids are ours only where the number of steps divides T.
"""

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from difflab.prediction import Denoiser, Eps
from difflab.process import Forward, Posterior
from difflab.samplers import DDIM, Ancestral, Leading, Trailing
from tests.conftest import Formula, option

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
GRIDS = [
    (Leading(), "leading", 200),
    (Leading(), "leading", 10),
    (Trailing(), "trailing", 50),
    (Trailing(), "trailing", 8),
]


def network(x, t):
    """Noise that depends on every pixel and on the time; small enough to leave some of x0_hat unclipped."""
    mix = torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(6, 6).sin()
    return 0.9 * x / (1 + x.square()).sqrt() + 0.3 * torch.sin(x @ mix + 5 * t[:, None])


def largest_difference(sampler, schedule, take_step):
    """Between our x_s and that of `take_step(index of the step, eps_hat, x_t, noise)`, over all steps."""
    draw = torch.Generator().manual_seed(0)
    drawn, states = [], []

    def noise():
        drawn.append(torch.randn(3, 6, dtype=torch.float64, generator=draw))
        return drawn[-1]

    denoise = Denoiser(Formula(network), schedule, Eps())
    sampler.sample(denoise, schedule, noise, lambda i, x, prediction: states.append((x, prediction.output)))
    before, drawn = [drawn[0], *(x for x, _ in states[:-1])], [*drawn[1:], *[None] * len(states)]
    differences = [
        (take_step(i, output, before[i], drawn[i]) - x).abs().max().item() for i, (x, output) in enumerate(states)
    ]
    assert len(differences) == len(sampler.times(schedule))
    return max(differences)


def scheduler_of(kind, name, spacing, steps, schedule, sampler, **options):
    scheduler = kind(beta_schedule=SCHEDULES[name], timestep_spacing=spacing, **options)
    abar = schedule.marginal(torch.arange(1, 1001, dtype=torch.float64) / 1000).alpha ** 2
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), abar, rtol=1e-4, atol=1e-6)
    scheduler.alphas_cumprod = abar
    scheduler.set_timesteps(steps)
    ours = (sampler.times(schedule) * schedule.T - 1).round().long()
    assert torch.equal(scheduler.timesteps, ours)
    return scheduler


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(("grid", "spacing", "steps"), GRIDS)
@pytest.mark.parametrize(("variance", "variance_type"), [(Posterior(), "fixed_small"), (Forward(), "fixed_large")])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ancestral(monkeypatch, name, variance, variance_type, grid, spacing, steps, clip):
    schedule = option("schedule", name)
    sampler = Ancestral(grid, steps, clip, variance)
    options = {"variance_type": variance_type, "clip_sample": clip}
    scheduler = scheduler_of(DDPMScheduler, name, spacing, steps, schedule, sampler, **options)
    module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"  # the only way to its noise

    def take_step(i, eps_hat, x_t, noise):
        monkeypatch.setattr(module, lambda *_, **__: torch.zeros_like(x_t) if noise is None else noise)
        return scheduler.step(eps_hat, int(scheduler.timesteps[i]), x_t).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("grid", "spacing", "steps"), GRIDS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim(name, grid, spacing, steps, eta, clip):
    """With eps_hat recomputed from a clipped x0_hat, which is an option there."""
    schedule = option("schedule", name)
    sampler = DDIM(grid, steps, clip, eta)
    scheduler = scheduler_of(DDIMScheduler, name, spacing, steps, schedule, sampler, clip_sample=clip)

    def take_step(i, eps_hat, x_t, noise):
        noise = torch.zeros_like(x_t) if noise is None else noise
        t = int(scheduler.timesteps[i])
        return scheduler.step(eps_hat, t, x_t, eta=eta, use_clipped_model_output=True, variance_noise=noise).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8
