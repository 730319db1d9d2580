import pytest
import torch

from difflab.likelihood import Exact, Stratified

T = 50


@pytest.fixture
def stratified():
    return Stratified(steps=8, points=6, uniform_share=0.2)


def test_exact_visits_every_step_once():
    exact = Exact()
    k, weight = exact.draws(exact.density(T, torch.empty(0)), torch.rand(3, exact.calls(T)))
    assert (exact.calls(T), len(exact.pilot(T)), exact.replicates) == (T, 0, False)
    assert torch.equal(k, torch.arange(1, T + 1).expand(3, T))
    assert torch.equal(weight, torch.ones(3, T, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_stratified_expects_the_sum_of_any_terms(stratified, seed):
    """Exactly: over uniform numbers on a fine grid, for densities whose steps end on points of that grid."""
    draw = torch.Generator().manual_seed(seed)
    terms = torch.rand(T, dtype=torch.float64, generator=draw).log().neg() ** 3
    points, strata = 2**14, stratified.steps // 2
    cells = 1 + torch.randint(T, (points * strata - T,), generator=draw).bincount(minlength=T)
    density = cells.double() / cells.sum()
    uniform = (torch.arange(points, dtype=torch.float64) + 0.5) / points
    k, weight = stratified.draws(density, uniform[:, None].expand(-1, stratified.steps))
    assert (k.min(), k.max()) == (1, T)
    by_draw = (weight * terms[k - 1]).mean(0)
    assert float(by_draw.sum()) == pytest.approx(float(terms.sum()), rel=1e-12)
    # and so does each replicate, of half of the sum
    assert float(by_draw[0::2].sum()) == pytest.approx(float(terms.sum()) / 2, rel=1e-12)


def test_stratified_agrees_with_exact_on_noisy_terms(stratified):
    draw = torch.Generator().manual_seed(1)
    mean = torch.logspace(1, -3, T, dtype=torch.float64)
    density = stratified.density(T, (mean[stratified.pilot(T) - 1] * 1.3) ** 2)
    uniform = torch.rand(20_000, stratified.steps, dtype=torch.float64, generator=draw)
    k, weight = stratified.draws(density, uniform)
    noisy = mean[k - 1] * torch.rand(k.shape, dtype=torch.float64, generator=draw).log().neg()
    totals = (weight * noisy).sum(1)
    stderr = float(totals.std()) / len(totals) ** 0.5
    assert stderr < 0.01 * float(mean.sum())
    assert abs(float(totals.mean() - mean.sum())) < 3 * stderr


def test_the_difference_of_the_replicates_measures_the_error(stratified):
    draw = torch.Generator().manual_seed(2)
    mean = torch.logspace(1, -3, T, dtype=torch.float64)
    density = stratified.density(T, torch.ones(len(stratified.pilot(T)), dtype=torch.float64))
    k, weight = stratified.draws(density, torch.rand(40_000, stratified.steps, dtype=torch.float64, generator=draw))
    shares = weight * mean[k - 1]
    even, odd = 2 * shares[:, 0::2].sum(1), 2 * shares[:, 1::2].sum(1)
    assert float((even - odd).square().mean() / 4) == pytest.approx(float(((even + odd) / 2).var()), rel=0.05)
    assert abs(float(torch.corrcoef(torch.stack([even, odd]))[0, 1])) < 0.02


def test_each_pair_of_draws_has_a_stratum_of_its_own(stratified):
    density = torch.full((T,), 1 / T, dtype=torch.float64)
    draw = torch.Generator().manual_seed(3)
    k, weight = stratified.draws(density, torch.rand(500, stratified.steps, dtype=torch.float64, generator=draw))
    torch.testing.assert_close(weight, torch.full_like(weight, T / stratified.steps))
    for j in range(stratified.steps):
        stratum = j // 2
        assert k[:, j].min() >= 1 + stratum * T // 4
        assert k[:, j].max() <= 1 + (stratum + 1) * T // 4


def test_the_density_is_proportional_to_the_rms_of_the_terms(stratified):
    """A power law in k is a line in the pilot's logarithms."""
    k = torch.arange(1, T + 1, dtype=torch.float64)
    rms = 7 * k**-1.5
    density = stratified.density(T, rms[stratified.pilot(T) - 1] ** 2)
    torch.testing.assert_close(density, 0.8 * rms / rms.sum() + 0.2 / T, rtol=1e-10, atol=0)


def test_between_the_steps_of_the_pilot_it_is_linear_in_their_logarithm(stratified):
    k = torch.arange(1, T + 1, dtype=torch.float64)
    rows = torch.stack([3 - 2 * k.log(), k.log()])
    torch.testing.assert_close(stratified.between(T, rows[:, stratified.pilot(T) - 1]), rows)
    assert torch.equal(Exact().between(T, torch.empty(2, 0)), torch.zeros(2, T, dtype=torch.float64))


def test_terms_that_vanish_keep_a_chance(stratified):
    mean_square = torch.zeros(len(stratified.pilot(T)), dtype=torch.float64)
    mean_square[0] = 1
    density = stratified.density(T, mean_square)
    assert float(density.sum()) == pytest.approx(1, abs=1e-12)
    assert density.min() >= 0.2 / T


@pytest.mark.parametrize("steps", [2, 21, 1000, 4000])
@pytest.mark.parametrize("points", [2, 24, 100])
def test_the_pilot_covers_the_chain(steps, points):
    pilot = Stratified(steps=2, points=points, uniform_share=0.1).pilot(steps)
    assert (pilot[0], pilot[-1]) == (1, steps)
    assert (pilot.diff() > 0).all()
    assert len(pilot) <= points


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("steps", {"steps": 7}),
        ("steps", {"steps": 0}),
        ("points", {"points": 1}),
        ("uniform_share", {"uniform_share": 0.0}),
        ("uniform_share", {"uniform_share": 1.0}),
    ],
)
def test_refusals_name_the_field(field, change):
    with pytest.raises(ValueError, match=rf"likelihood\.estimate\.{field}: "):
        Stratified(**{"steps": 8, "points": 6, "uniform_share": 0.2} | change)
