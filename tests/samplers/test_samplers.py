"""What holds for every sampler, and for the loop that they share."""

from itertools import pairwise

import pytest
import torch

from difflab.models import Mixture, Oracle
from difflab.prediction import X0, Denoiser, Eps
from difflab.process import Forward, Posterior
from difflab.samplers.ancestral import Ancestral
from difflab.samplers.ddim import DDIM
from difflab.samplers.grid import Leading, Trailing, Uniform
from difflab.schedules import Cosine, Linear
from tests.conftest import Exploding, Formula, composed, every, gaussian_denoiser, option, options

LINEAR = Linear(1000, beta_first=1e-4, beta_last=0.02)
CHAINS = {"linear": LINEAR, "cosine": Cosine(1000, offset=0.008, beta_max=0.999)}
chains = pytest.mark.parametrize("schedule", CHAINS.values(), ids=CHAINS)
samplers = pytest.mark.parametrize("name", options("sampler"))


@pytest.fixture(autouse=True)
def no_gradient():
    with torch.no_grad():
        yield


def made(name, **fields):
    """The sampler of a YAML, with those of these fields that it has."""
    own = composed(f"sampler={name}").sampler
    return option("sampler", name, *(f"sampler.{field}={value}" for field, value in fields.items() if field in own))


def has(name, field):
    return field in composed(f"sampler={name}").sampler


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
    """Of what the sampler makes of the exact denoiser of N(mean, std^2): exactly, where its steps are affine."""
    denoise, draws = gaussian_denoiser(schedule, mean, std), []
    found = sampler.sample(denoise, schedule, lambda: draws.append(1) or torch.zeros(1, 1, dtype=torch.float64))
    weights = sampler.sample(denoise, schedule, Basis(len(draws))) - found
    return float(found), float(weights.square().sum().sqrt())


@pytest.mark.slow
@samplers
@chains
def test_the_exact_denoiser_of_gaussian_data_gives_the_data(schedule, name):
    """What is left is the discretisation, and the prior's mean, alpha(1) times too small."""
    step_size = 0.02 if name == "plain_langevin" else 0.5  # that of NCSNv2 is for a denser ladder
    sampler = made(name, clip="false", steps=250, step_size=step_size)
    sampler.least_variance = 0.5**2  # which plain_langevin is offered by the data
    found = mean_and_std(sampler, schedule, 0.3, 0.5)
    assert found == (pytest.approx(0.3, abs=2e-3), pytest.approx(0.5, rel=0.04))


@pytest.mark.parametrize(("grid", "steps"), [(Uniform(), 200), (Uniform(), 7), (Leading(), 10), (Trailing(), 10)])
@chains
def test_forward_variance_is_exact_on_standard_normal_data(schedule, grid, steps):
    """Every state is standard normal, on any sub-grid; the last step multiplies by alpha."""
    sampler = Ancestral(grid, steps, False, Forward())
    last = schedule.marginal(sampler.times(schedule)[-1]).alpha
    assert mean_and_std(sampler, schedule, 0.0, 1.0) == (0, pytest.approx(float(last), rel=1e-10))


FAMILY = {
    "ancestral": Ancestral(Uniform(), 8, False, Posterior()),
    **{f"ddim {eta}": DDIM(Uniform(), 8, False, eta, Posterior()) for eta in (0.0, 0.3, 1.0)},
}


@pytest.mark.parametrize("sampler", FAMILY.values(), ids=FAMILY)
@pytest.mark.parametrize("schedule", [*every("schedule"), pytest.param(Exploding(), id="exploding")])
def test_with_the_true_x0_every_state_has_its_marginal(schedule, sampler):
    """x_s ~ N(alpha_s x_0, sigma_s^2) at every s and eta (Song et al., 2021, Lemma 1), from an x_T with its own."""
    x0 = torch.full((10, 1), 0.4, dtype=torch.float64)
    denoise = Denoiser(Formula(lambda x, t: x0[: len(x)]), schedule, X0())
    zero = torch.zeros(1, 1, dtype=torch.float64)
    states, weights = [], []
    sampler.sample(denoise, schedule, lambda: zero, lambda state: states.append(float(state.x)))
    sampler.sample(denoise, schedule, Basis(10), lambda state: weights.append(state.x.flatten()))
    alpha, sigma, _ = schedule.marginal(sampler.times(schedule))
    for j in range(7):
        of_start, of_rest = (weights[j] - states[j]).split([1, 9])
        of_eps = float(of_start) * float(sigma[0]) / schedule.prior_std  # the start as alpha x_0 + sigma eps
        var = of_eps**2 + float(of_rest.square().sum())
        assert var == pytest.approx(float(sigma[j + 1]) ** 2, rel=1e-9)
        mean = float(alpha[j + 1]) * 0.4 - of_eps * float(alpha[0] / sigma[0]) * 0.4
        assert states[j] == pytest.approx(mean, rel=1e-9, abs=1e-12)
    assert states[-1] == 0.4


@chains
def test_the_error_on_gaussian_data_falls_like_one_over_the_steps(schedule):
    error = [
        abs(mean_and_std(DDIM(Uniform(), n, False, 0.0, Posterior()), schedule, 0, 0.5)[1] - 0.5)
        for n in (50, 100, 200)
    ]
    assert error[0] / error[1] == pytest.approx(2, rel=0.25)
    assert error[1] / error[2] == pytest.approx(2, rel=0.25)


def wave(schedule):
    """A denoiser that is neither linear nor bounded by 1, and takes each pixel alone."""
    return Denoiser(Formula(lambda x, t: 1.5 * torch.sin(2 * x + 3 * t[:, None])), schedule, X0())


def noise_of(seed, *shape):
    draw = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("clip", [False, True, 0.9])
@pytest.mark.parametrize(("grid", "steps"), [(Uniform(), 200), (Uniform(), 37), (Leading(), 50), (Trailing(), 7)])
@chains
def test_ddim_with_eta_1_is_ancestral_with_posterior_variance(schedule, grid, steps, clip):
    ours = DDIM(grid, steps, clip, 1.0, Posterior()).sample(wave(schedule), schedule, noise_of(0, 4, 6))
    theirs = Ancestral(grid, steps, clip, Posterior()).sample(wave(schedule), schedule, noise_of(0, 4, 6))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


ALL = [option("schedule", schedule) for schedule in options("schedule")]


@pytest.mark.slow
@samplers
def test_every_schedule_is_sampled_or_refused(name):
    """A refusal names its field; what is not refused gives numbers."""
    ran, refused = [], []
    for schedule in ALL:
        sampler = made(name, steps=6, inner=2, rtol=1e-3, atol=1e-3)
        try:
            sampler.times(schedule)
        except ValueError as error:
            assert str(error).startswith(("sampler", "grid")), error
            refused.append(f"{type(schedule).__name__}: {error}")
            continue
        assert sampler.sample(wave(schedule), schedule, noise_of(0, 3, 6)).isfinite().all()
        ran.append(schedule)
    print(f"{name}: {len(ran)} ran, {len(refused)} refused", *refused, sep="\n  ")
    assert len(ran) >= len(ALL) - 1


@samplers
@chains
def test_the_loop(name, schedule):
    """The first call is at the prior, the last denoises; the watcher sees every state, and calls are as announced."""
    sampler = made(name, steps=5, inner=2)
    asked, seen = [], []
    inner = wave(schedule)

    def network(x, t):
        asked.append((x, t))
        return inner.network(x, t)

    denoise = Denoiser(Formula(network), schedule, X0())
    x = sampler.sample(denoise, schedule, noise_of(0, 4, 6), seen.append)
    times = sampler.times(schedule)
    (first, at), (_, last) = asked[0], asked[-1]
    torch.testing.assert_close(first, noise_of(0, 4, 6)())
    assert at.tolist() == pytest.approx([schedule.t_min if name == "plain_langevin" else 1.0] * 4)
    assert last.tolist() == [float(times[-1])] * 4
    assert len(asked) == seen[-1].calls
    announced = sampler.calls(schedule)
    assert announced is None or announced == len(asked)
    for earlier, later in pairwise(seen):
        assert earlier.calls <= later.calls
        assert earlier.share <= later.share
    assert all(0 <= state.share < 1 and schedule.t_min - 1e-12 <= state.t <= 1 for state in seen[:-1])
    assert (seen[-1].share, seen[-1].t) == (1, None)
    assert torch.equal(seen[-1].x, x)
    assert torch.equal(seen[-1].prediction.x0, x)
    states = sampler.trajectory(inner, schedule, noise_of(0, 4, 6))
    assert [torch.equal(a.x, b.x) for a, b in zip(states, seen, strict=True)] == [True] * len(seen)


@samplers
def test_the_same_noise_gives_the_same_images_to_the_bit(name):
    sampler = made(name, steps=5, inner=2)
    ours, again = (sampler.sample(wave(LINEAR), LINEAR, noise_of(0, 4, 6)) for _ in range(2))
    assert torch.equal(ours, again)
    assert not torch.equal(ours, sampler.sample(wave(LINEAR), LINEAR, noise_of(1, 4, 6)))


@samplers
def test_a_sample_does_not_depend_on_those_beside_it(name):
    """But for solvers that choose their own steps: within their tolerance."""
    sampler = made(name, steps=5, inner=2)
    draws = [noise_of(seed, 4, 6)() for seed in range(100)]
    all_of_them, first = iter(draws), iter(draw[:1] for draw in draws)
    together = sampler.sample(wave(LINEAR), LINEAR, lambda: next(all_of_them))
    alone = sampler.sample(wave(LINEAR), LINEAR, lambda: next(first))
    atol = 1e-3 if sampler.calls(LINEAR) is None else 1e-10
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=atol)


@samplers
def test_images_have_the_dtype_of_the_noise(name):
    sampler, draw = made(name, steps=5, inner=2), noise_of(0, 4, 6)
    assert sampler.sample(wave(LINEAR), LINEAR, lambda: draw().float()).dtype == torch.float32


@samplers
def test_the_start_has_the_deviation_of_the_prior_or_is_given(name):
    seen, schedule = [], Exploding()
    denoise = Denoiser(Formula(lambda x, t: seen.append(x) or x / 2), schedule, X0())
    sampler = made(name, steps=3, inner=2)
    sampler.sample(denoise, schedule, noise_of(0, 4, 6))
    torch.testing.assert_close(seen[0], 50 * noise_of(0, 4, 6)())
    seen.clear()
    sampler.sample(denoise, schedule, noise_of(0, 4, 6), start=torch.full((4, 6), 0.3, dtype=torch.float64))
    torch.testing.assert_close(seen[0], torch.full((4, 6), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("name", [name for name in options("sampler") if has(name, "clip")])
@pytest.mark.parametrize("clip", ["true", 0.9])
@chains
def test_clipping_bounds_what_comes_out(schedule, clip, name):
    free, clipped = (
        made(name, clip=c, steps=20, inner=2).sample(wave(schedule), schedule, noise_of(0, 50, 6))
        for c in ("false", clip)
    )
    assert free.abs().max() > 1
    assert clipped.abs().max() <= 1


def test_no_number_of_steps_means_all():
    assert len(Ancestral(Uniform(), None, True, Posterior()).times(LINEAR)) == 1000
    ladder = option("schedule", "geometric", "schedule.L=12")
    assert len(Ancestral(Uniform(), None, True, Posterior()).times(ladder)) == 12
    with pytest.raises(ValueError, match=r"sampler\.steps: null"):
        Ancestral(Uniform(), None, True, Posterior()).times(Exploding())


def test_deterministic_ddim_draws_no_noise_after_the_start():
    draws, noise = [], noise_of(0, 4, 6)
    sampler = DDIM(Uniform(), 10, True, 0.0, Posterior())
    sampler.sample(wave(LINEAR), LINEAR, lambda: draws.append(1) or noise())
    assert len(draws) == 1


@pytest.mark.parametrize("name", [name for name in options("sampler") if has(name, "grid")])
def test_numbers_of_steps_that_do_not_fit_are_refused(name):
    sampler = made(name, steps=1001)
    sampler.grid = Uniform()  # other grids may go between the steps of the chain
    with pytest.raises(ValueError, match=r"sampler\.steps: 1001; allowed are 1 to T = 1000"):
        sampler.times(LINEAR)
    for steps in (0, -3):
        with pytest.raises(ValueError, match=rf"sampler\.steps: {steps}; "):
            made(name, steps=steps)


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_an_eta_outside_of_the_family_is_refused(eta):
    with pytest.raises(ValueError, match=rf"sampler\.eta: {eta}; "):
        DDIM(Uniform(), 10, True, eta, Posterior())


# Two modes of different weight and width, wide enough that the width of the samples tells of the score's size.
MIXTURE = Mixture([0.3, 0.7], [[-0.8, 0.5], [0.5, -0.4]], [0.3, 0.2])
# What a sampler's default steps are meant for; a ladder as dense as NCSNv2's, and a chain of all of whose steps.
HOME = {
    "ancestral": ("linear", "schedule.T=250"),
    "heun": ("karras",),
    "langevin": ("geometric", "schedule.sigma_max=5", "schedule.L=167"),
}
# One level has to carry a sample from mode to mode.
FIELDS = {"plain_langevin": {"step_size": 0.03}}


class Weak(Oracle):
    """A score of this share of the right one."""

    share = 0.8

    def forward(self, x, c_noise):
        return self.share * super().forward(x, c_noise)


def energy_distance_is_nothing(a, b, permutations=499):
    """The chance, under random relabelling, of an energy distance as large as found (Szekely & Rizzo, 2004).

    2 E|A - B| - E|A - A'| - E|B - B'| is -w D w with w = 1/len(a) on a and -1/len(b) on b, and D all distances.
    """
    pooled = torch.cat([a, b]).float()
    distance = torch.cdist(pooled, pooled)
    weight = torch.cat([torch.full((len(a),), 1 / len(a)), torch.full((len(b),), -1 / len(b))])
    draw = torch.Generator().manual_seed(0)
    order = torch.rand(permutations, len(pooled), generator=draw).argsort(1)
    weights = torch.cat([weight[None], weight[order]])
    found = -(weights @ distance * weights).sum(1)
    return float((1 + (found[1:] >= found[0]).sum()) / (1 + permutations))


def test_the_two_sample_test_finds_what_it_should():
    a, b, c = (MIXTURE.sample(1000, torch.Generator().manual_seed(seed)) for seed in (0, 1, 2))
    assert energy_distance_is_nothing(a, b) > 0.01
    assert energy_distance_is_nothing(a, 1.25 * c) < 0.01


@pytest.mark.slow
@samplers
def test_samples_are_those_of_the_data_and_with_a_weaker_score_they_are_not(name):
    """1,000 at the sampler's default steps, against 1,000 of the mixture."""
    schedule = option("schedule", *HOME.get(name, ("linear",)))
    sampler = made(name, clip="false", **FIELDS.get(name, {}))
    sampler.least_variance = MIXTURE.least_variance  # which plain_langevin is offered by the data
    data = MIXTURE.sample(1000, torch.Generator().manual_seed(1))
    chances = []
    for kind in (Oracle, Weak):
        denoise = Denoiser(kind(MIXTURE, Eps()), schedule, Eps())
        chances.append(energy_distance_is_nothing(sampler.sample(denoise, schedule, noise_of(0, 1000, 2)), data))
    assert chances[0] > 0.01
    assert chances[1] < 0.01


@pytest.mark.parametrize("name", [name for name in options("sampler") if has(name, "grid")])
def test_a_grid_begins_where_the_noise_is_that_of_the_prior(name):
    """Everywhere on variance-preserving schedules; else at t = 1, or where the start is forgotten."""
    sampler = option("sampler", name, "grid=explicit", "grid.times=[0.5,0.3]")
    sampler.check_start(option("schedule", "linear"))
    for schedule in (option("schedule", "flow"), option("schedule", "karras")):
        if name == "langevin":
            sampler.check_start(schedule)
        else:
            with pytest.raises(ValueError, match=r"grid\.times: the first is 0\.5; allowed is 1"):
                sampler.check_start(schedule)
    option("sampler", name, "grid=explicit", "grid.times=[1.0,0.3]").check_start(option("schedule", "karras"))
