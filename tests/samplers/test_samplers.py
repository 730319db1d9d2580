"""What holds for every sampler, and for the loop that they share."""

import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.process import Forward, Posterior
from difflab.samplers import DDIM, Ancestral, Leading, Trailing, Uniform
from tests.conftest import Exploding, Formula, every, gaussian_denoiser, option, options


class Basis:
    """Noise whose j-th call is 1 in the j-th sample and 0 in the others: a linear sampler returns its weights."""

    def __init__(self, calls):
        self.calls, self.next = calls, 0

    def __call__(self):
        noise = torch.zeros(self.calls, 1, dtype=torch.float64)
        noise[self.next] = 1
        self.next += 1
        return noise


def mean_and_std(sampler, schedule, mean, std):
    """Of what the sampler makes of the exact denoiser of N(mean, std^2): exactly, for its steps are affine."""
    denoise = gaussian_denoiser(schedule, mean, std)
    found = sampler.sample(denoise, schedule, lambda: torch.zeros(1, 1, dtype=torch.float64))
    weights = sampler.sample(denoise, schedule, Basis(len(sampler.times(schedule)) + 1)) - found
    return float(found), float(weights.square().sum().sqrt())


@pytest.mark.parametrize("name", options("sampler"))
@pytest.mark.parametrize("schedule", every("schedule"))
def test_the_exact_denoiser_of_gaussian_data_gives_the_data(schedule, name):
    """What is left is the discretisation, first order in 1/steps, and the prior's mean, alpha(1) times too small."""
    sampler = option("sampler", name, "sampler.clip=false", "sampler.steps=250")
    found = mean_and_std(sampler, schedule, 0.3, 0.5)
    assert found == (pytest.approx(0.3, abs=2e-3), pytest.approx(0.5, rel=0.04))


@pytest.mark.parametrize(("grid", "steps"), [(Uniform(), 200), (Uniform(), 7), (Leading(), 10), (Trailing(), 10)])
@pytest.mark.parametrize("schedule", every("schedule"))
def test_forward_variance_is_exact_on_standard_normal_data(schedule, grid, steps):
    """Every state is standard normal, on any sub-grid; the last step multiplies by alpha."""
    sampler = Ancestral(grid, steps, False, Forward())
    last = schedule.marginal(sampler.times(schedule)[-1]).alpha
    assert mean_and_std(sampler, schedule, 0.0, 1.0) == (0, pytest.approx(float(last), rel=1e-10))


FAMILY = {
    "ancestral": Ancestral(Uniform(), 8, False, Posterior()),
    **{f"ddim {eta}": DDIM(Uniform(), 8, False, eta) for eta in (0.0, 0.3, 1.0)},
}


@pytest.mark.parametrize("sampler", FAMILY.values(), ids=FAMILY)
@pytest.mark.parametrize("schedule", [*every("schedule"), pytest.param(Exploding(), id="exploding")])
def test_with_the_true_x0_every_state_has_its_marginal(schedule, sampler):
    """x_s ~ N(alpha_s x_0, sigma_s^2) at every s and eta (Song et al., 2021, Lemma 1), from an x_T with its own."""
    x0, states, weights = torch.full((10, 1), 0.4, dtype=torch.float64), [], []
    denoise = Denoiser(Formula(lambda x, t: x0[: len(x)]), schedule, X0())
    zero = torch.zeros(1, 1, dtype=torch.float64)
    sampler.sample(denoise, schedule, lambda: zero, lambda i, x, prediction: states.append(float(x)))
    sampler.sample(denoise, schedule, Basis(10), lambda i, x, prediction: weights.append(x.flatten()))
    alpha, sigma, _ = schedule.marginal(sampler.times(schedule))
    for j in range(7):
        of_start, of_rest = (weights[j] - states[j]).split([1, 9])
        of_eps = float(of_start) * float(sigma[0]) / schedule.prior_std  # the start as alpha x_0 + sigma eps
        var = of_eps**2 + float(of_rest.square().sum())
        assert var == pytest.approx(float(sigma[j + 1]) ** 2, rel=1e-9)
        mean = float(alpha[j + 1]) * 0.4 - of_eps * float(alpha[0] / sigma[0]) * 0.4
        assert states[j] == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert states[-1] == 0.4


@pytest.mark.parametrize("schedule", every("schedule"))
def test_the_error_on_gaussian_data_falls_like_one_over_the_steps(schedule):
    error = [abs(mean_and_std(DDIM(Uniform(), n, False, eta=0), schedule, 0, 0.5)[1] - 0.5) for n in (50, 100, 200)]
    assert error[0] / error[1] == pytest.approx(2, rel=0.25)
    assert error[1] / error[2] == pytest.approx(2, rel=0.25)


def wave(schedule, size=6):
    """A denoiser that is neither linear nor bounded by 1."""
    mix = torch.randn(size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) / size**0.5
    return Denoiser(Formula(lambda x, t: 1.5 * torch.sin(x @ mix + 3 * t[:, None])), schedule, X0())


def noise_of(seed, *shape):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(("grid", "steps"), [(Uniform(), 1000), (Uniform(), 37), (Leading(), 50), (Trailing(), 7)])
@pytest.mark.parametrize("schedule", every("schedule"))
def test_ddim_with_eta_1_is_ancestral_with_posterior_variance(schedule, grid, steps, clip):
    ours = DDIM(grid, steps, clip, eta=1.0).sample(wave(schedule), schedule, noise_of(0, 4, 6))
    theirs = Ancestral(grid, steps, clip, Posterior()).sample(wave(schedule), schedule, noise_of(0, 4, 6))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", options("sampler"))
def test_the_loop(name):
    """One call a step, at the times of the grid; the last denoises; `after_step` sees every state."""
    schedule = option("schedule", "linear")
    sampler = option("sampler", name, "sampler.steps=5")
    asked, seen = [], []
    inner = wave(schedule)

    def network(x, t):
        asked.append((x, t))
        return inner.network(x, t)

    x = sampler.sample(
        Denoiser(Formula(network), schedule, X0()), schedule, noise_of(0, 4, 6), lambda *state: seen.append(state)
    )
    times = sampler.times(schedule)
    assert [t.tolist() for _, t in asked] == [[t] * 4 for t in times.tolist()]
    assert torch.equal(asked[0][0], noise_of(0, 4, 6)())
    assert [number for number, _, _ in seen] == [1, 2, 3, 4, 5]
    for (_, state, _), (asked_for, _) in zip(seen[:-1], asked[1:], strict=True):
        assert torch.equal(state, asked_for)
    assert torch.equal(seen[-1][1], x)
    assert torch.equal(seen[-1][2].x0, x)


def test_the_start_has_the_deviation_of_the_prior():
    seen = []
    denoise = Denoiser(Formula(lambda x, t: seen.append(x) or x), Exploding(), X0())
    DDIM(Uniform(), 1, False, eta=0).sample(denoise, Exploding(), noise_of(0, 4, 6))
    assert torch.equal(seen[0], 50 * noise_of(0, 4, 6)())


@pytest.mark.parametrize("name", options("sampler"))
@pytest.mark.parametrize("schedule", every("schedule"))
def test_clipping_bounds_what_comes_out(schedule, name):
    free, clipped = (
        option("sampler", name, f"sampler.clip={c}", "sampler.steps=20").sample(
            wave(schedule), schedule, noise_of(0, 50, 6)
        )
        for c in ("false", "true")
    )
    assert free.abs().max() > 1
    assert clipped.abs().max() <= 1


def test_no_number_of_steps_means_all():
    schedule = option("schedule", "linear")
    assert len(Ancestral(Uniform(), None, True, Posterior()).times(schedule)) == 1000
    with pytest.raises(ValueError, match=r"sampler\.steps: null"):
        Ancestral(Uniform(), None, True, Posterior()).times(Exploding())


def test_deterministic_ddim_draws_no_noise_after_the_start():
    draws = []
    schedule = option("schedule", "linear")
    noise = noise_of(0, 4, 6)
    DDIM(Uniform(), 10, True, eta=0).sample(wave(schedule), schedule, lambda: draws.append(1) or noise())
    assert len(draws) == 1


@pytest.mark.parametrize("steps", [0, -3])
def test_steps_that_are_not_positive_are_refused(steps):
    with pytest.raises(ValueError, match=rf"sampler\.steps: {steps}; "):
        DDIM(Uniform(), steps, True, eta=0)


@pytest.mark.parametrize("name", options("sampler"))
def test_more_steps_than_the_chain_has_are_refused(name):
    with pytest.raises(ValueError, match=r"sampler\.steps: 1001; allowed are 1 to T = 1000"):
        option("sampler", name, "sampler.steps=1001").times(option("schedule", "linear"))


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_an_eta_outside_of_the_family_is_refused(eta):
    with pytest.raises(ValueError, match=rf"sampler\.eta: {eta}; "):
        DDIM(Uniform(), 10, True, eta)
