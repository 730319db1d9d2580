"""Our samplers and the schedulers of diffusers take the same step from the same state, on the same grid and noise.

Their tables are float32 and ours float64, so the tables are compared first, and then put in place of theirs; where
they cast the state to float32 they are told that this is float64. Their "linspace" spacing has wrong previous steps,
and their other grids are ours only where the number of steps divides T. Their third orders of DPM-Solver++ are not
third orders: that of the ODE is our variant "published", that of the SDE has a wrong sign; both of ours are proven in
test_dpm_solver.
"""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from difflab.prediction import Denoiser, Eps
from difflab.process import Forward, Posterior
from difflab.samplers import DDIM, Ancestral, DPMSolver, Heun, Leading, Trailing, UniPC
from tests.conftest import Formula, option

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
SPACINGS = {"leading": Leading(), "trailing": Trailing()}
GRIDS = [("leading", 200), ("leading", 10), ("trailing", 50), ("trailing", 8)]
MULTISTEP = [("trailing", n) for n in (50, 15, 14, 8, 2)]

SETTINGS = {
    DDPMScheduler: {},
    DDIMScheduler: {},
    DPMSolverMultistepScheduler: {
        "thresholding": False,
        "solver_type": "midpoint",
        "lower_order_final": True,
        "euler_at_final": False,
        "final_sigmas_type": "zero",
        "use_karras_sigmas": False,
    },
    UniPCMultistepScheduler: {
        "thresholding": False,
        "predict_x0": True,
        "solver_type": "bh2",
        "lower_order_final": True,
        "final_sigmas_type": "zero",
        "use_karras_sigmas": False,
    },
    EulerDiscreteScheduler: {
        "interpolation_type": "linear",
        "final_sigmas_type": "zero",
        "use_karras_sigmas": False,
    },
    HeunDiscreteScheduler: {"clip_sample": False, "use_karras_sigmas": False},
}


def network(x, t):
    """Noise that depends on every pixel and on the time; small enough to leave some of x0_hat unclipped."""
    mix = torch.linspace(-1, 1, 36, dtype=torch.float64).reshape(6, 6).sin()
    return 0.9 * x / (1 + x.square()).sqrt() + 0.3 * torch.sin(x @ mix + 5 * t[:, None])


def largest_difference(sampler, schedule, take_step):
    """Between what follows each network call, ours and that of `take_step(index of the call, eps_hat, x, noise)`.

    What follows is the state of the next call, and in the end the images.
    """
    draw = torch.Generator().manual_seed(0)
    drawn, states, outputs = [], [], []

    def noise():
        drawn.append(torch.randn(3, 6, dtype=torch.float64, generator=draw))
        return drawn[-1]

    def recorded(x, t):
        states.append(x)
        outputs.append(network(x, t))
        return outputs[-1]

    states.append(sampler.sample(Denoiser(Formula(recorded), schedule, Eps()), schedule, noise))
    assert len(outputs) == sampler.calls(schedule)
    noises = [*drawn[1:], *[torch.zeros(3, 6, dtype=torch.float64)] * len(outputs)]
    differences = [
        (take_step(i, outputs[i], states[i], noises[i]) - states[i + 1]).abs().max().item() for i in range(len(outputs))
    ]
    return max(differences)


def scheduler_of(kind, name, spacing, steps, schedule, sampler, **options):
    """Theirs, with our table, and with their own grid where that is ours."""
    options = {**SETTINGS[kind], **options}
    betas = {"beta_schedule": SCHEDULES[name], "beta_start": 1e-4, "beta_end": 0.02}
    scheduler = kind(timestep_spacing=spacing, **betas, **options)
    abar = schedule.marginal(torch.arange(1, 1001, dtype=torch.float64) / 1000).alpha ** 2
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), abar, rtol=1e-4, atol=1e-6)
    scheduler.alphas_cumprod = abar
    scheduler.set_timesteps(steps)
    ours = (sampler.times(schedule) * schedule.T - 1).round().long()
    assert torch.equal(scheduler.timesteps.unique().flip(0).long(), ours)
    return scheduler


def with_sigmas(scheduler, schedule, sampler, repeat=False):
    """Their sigma/alpha of each step, float32, replaced by ours; the last is that of data."""
    at = schedule.marginal(sampler.times(schedule))
    sigmas = torch.cat([at.sigma / at.alpha, at.sigma.new_zeros(1)])
    if repeat:
        sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    torch.testing.assert_close(scheduler.sigmas.double(), sigmas, rtol=1e-4, atol=1e-6)
    scheduler.sigmas = sigmas
    return scheduler


@pytest.fixture
def double(monkeypatch):
    """Calls a function while float32 is another name of float64."""

    def call(function, *arguments, **options):
        with monkeypatch.context() as patched:
            patched.setattr(torch, "float32", torch.float64)
            return function(*arguments, **options)

    return call


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(("spacing", "steps"), GRIDS)
@pytest.mark.parametrize(("variance", "variance_type"), [(Posterior(), "fixed_small"), (Forward(), "fixed_large")])
@pytest.mark.parametrize("name", SCHEDULES)
def test_ancestral(monkeypatch, name, variance, variance_type, spacing, steps, clip):
    schedule = option("schedule", name)
    sampler = Ancestral(SPACINGS[spacing], steps, clip, variance)
    options = {"variance_type": variance_type, "clip_sample": clip}
    scheduler = scheduler_of(DDPMScheduler, name, spacing, steps, schedule, sampler, **options)
    module = "diffusers.schedulers.scheduling_ddpm.randn_tensor"  # the only way to its noise

    def take_step(i, eps_hat, x_t, noise):
        monkeypatch.setattr(module, lambda *_, **__: noise)
        return scheduler.step(eps_hat, int(scheduler.timesteps[i]), x_t).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("spacing", "steps"), GRIDS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_ddim(name, spacing, steps, eta, clip):
    """With eps_hat recomputed from a clipped x0_hat, which is an option there."""
    schedule = option("schedule", name)
    sampler = DDIM(SPACINGS[spacing], steps, clip, eta, Posterior())
    scheduler = scheduler_of(DDIMScheduler, name, spacing, steps, schedule, sampler, clip_sample=clip)

    def take_step(i, eps_hat, x_t, noise):
        t = int(scheduler.timesteps[i])
        return scheduler.step(eps_hat, t, x_t, eta=eta, use_clipped_model_output=True, variance_noise=noise).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8


def difference_from_dpm_solver(double, name, spacing, steps, order, stochastic, variant):
    schedule = option("schedule", name)
    sampler = DPMSolver(SPACINGS[spacing], steps, False, order, stochastic, variant)
    options = {"solver_order": order, "algorithm_type": "sde-dpmsolver++" if stochastic else "dpmsolver++"}
    scheduler = scheduler_of(DPMSolverMultistepScheduler, name, spacing, steps, schedule, sampler, **options)
    with_sigmas(scheduler, schedule, sampler)

    def take_step(i, eps_hat, x_t, noise):
        options = {"variance_noise": noise} if stochastic else {}
        return double(scheduler.step, eps_hat, scheduler.timesteps[i], x_t, **options).prev_sample

    return largest_difference(sampler, schedule, take_step)


@pytest.mark.parametrize(("order", "stochastic"), [(1, False), (2, False), (3, False), (1, True), (2, True)])
@pytest.mark.parametrize(("spacing", "steps"), MULTISTEP)
@pytest.mark.parametrize("name", SCHEDULES)
def test_dpm_solver(double, name, spacing, steps, order, stochastic):
    assert difference_from_dpm_solver(double, name, spacing, steps, order, stochastic, "published") < 1e-8


@pytest.mark.parametrize("stochastic", [False, True])
def test_third_orders_that_are_ours_alone(double, stochastic):
    """Corrected, and with the right sign: the comparison above can tell."""
    variant = "published" if stochastic else "corrected"
    assert difference_from_dpm_solver(double, "linear", "trailing", 20, 3, stochastic, variant) > 1e-3


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize(("spacing", "steps"), MULTISTEP)
@pytest.mark.parametrize("name", SCHEDULES)
def test_unipc(double, name, spacing, steps, order):
    schedule = option("schedule", name)
    sampler = UniPC(SPACINGS[spacing], steps, False, order)
    scheduler = scheduler_of(UniPCMultistepScheduler, name, spacing, steps, schedule, sampler, solver_order=order)
    with_sigmas(scheduler, schedule, sampler)

    def take_step(i, eps_hat, x_t, noise):
        return double(scheduler.step, eps_hat, scheduler.timesteps[i], x_t).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8


@pytest.mark.parametrize(("spacing", "steps"), GRIDS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_euler_is_ddim_of_x_over_alpha(double, name, spacing, steps):
    schedule = option("schedule", name)
    sampler = DDIM(SPACINGS[spacing], steps, False, 0.0, Posterior())
    scheduler = scheduler_of(EulerDiscreteScheduler, name, spacing, steps, schedule, sampler)
    with_sigmas(scheduler, schedule, sampler).is_scale_input_called = True
    alphas = [*schedule.marginal(sampler.times(schedule)).alpha.tolist(), 1.0]

    def take_step(i, eps_hat, x_t, noise):
        stepped = double(scheduler.step, eps_hat, scheduler.timesteps[i], x_t / alphas[i])
        return alphas[i + 1] * stepped.prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8


@pytest.mark.parametrize(
    ("name", "spacing", "steps"), [*[("linear", *grid) for grid in GRIDS], *[("cosine", *grid) for grid in GRIDS[:2]]]
)
def test_heun_of_x_over_alpha(name, spacing, steps):
    """Two calls a step but for the last, the second at the state that Euler's step leads to.

    Not from the last step of cosine, where sigma/alpha is 20,000: there theirs has no bound and ours is Euler's step.
    """
    schedule = option("schedule", name)
    sampler = Heun(SPACINGS[spacing], steps, False, 0.0, 0.0, math.inf, 1.0)
    scheduler = scheduler_of(HeunDiscreteScheduler, name, spacing, steps, schedule, sampler)
    with_sigmas(scheduler, schedule, sampler, repeat=True)
    alpha = schedule.marginal(sampler.times(schedule)).alpha
    alphas = [*torch.cat([alpha[:1], alpha[1:].repeat_interleave(2)]).tolist(), 1.0]

    def take_step(i, eps_hat, x_t, noise):
        return alphas[i + 1] * scheduler.step(eps_hat, scheduler.timesteps[i], x_t / alphas[i]).prev_sample

    assert largest_difference(sampler, schedule, take_step) < 1e-8
