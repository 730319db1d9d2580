import pytest
import torch

from difflab.losses import EDM, Noised, Score, Simple, Uncertainty
from difflab.prediction import Denoiser
from difflab.process import diffuse
from tests.conftest import Formula, every, option

LEVELS = 4


def case(schedule):
    """Many examples at each of a few noise levels, with a denoiser that is wrong."""
    draw = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 40, 3, dtype=torch.float64, generator=draw)
    t = (schedule.t_min + (1 - schedule.t_min) * torch.linspace(0.05, 0.95, LEVELS, dtype=torch.float64)).repeat(10)
    with torch.no_grad():
        x_t = diffuse(schedule, x0, eps, t)
    return Denoiser(Formula(lambda x, t: 0.3 * x), schedule, option("prediction", "v")), Noised(x0, eps, t, x_t)


@pytest.mark.parametrize("base", [Simple(), Score(1.0), EDM(0.5)])
@pytest.mark.parametrize("schedule", every("schedule"))
def test_it_starts_as_its_base(schedule, base):
    denoise, noised = case(schedule)
    loss = Uncertainty(base, channels=16)
    assert torch.equal(loss(denoise, noised, schedule), base(denoise, noised, schedule))
    assert torch.equal(loss.weight(denoise, noised.t), base.weight(denoise, noised.t))


def test_it_is_the_base_over_the_exponential_of_u_plus_u():
    schedule = option("schedule", "linear")
    denoise, noised = case(schedule)
    loss = Uncertainty(Simple(), channels=16).double()
    with torch.no_grad():
        loss.read_out.weight.normal_(generator=torch.Generator().manual_seed(1))
        loss.read_out.bias.fill_(0.7)
    u = loss.u(schedule.marginal(noised.t).log_snr)
    assert u.unique().numel() == LEVELS
    error = Simple()(denoise, noised, schedule)
    torch.testing.assert_close(loss(denoise, noised, schedule), error / u.exp() + u)
    torch.testing.assert_close(loss.weight(denoise, noised.t), 1 / u.exp().detach())
    assert not loss.weight(denoise, noised.t).requires_grad


def test_trained_u_is_the_logarithm_of_the_mean_error_of_each_level():
    schedule = option("schedule", "linear")
    denoise, noised = case(schedule)
    loss = Uncertainty(Score(0.0), channels=16).double()
    optimizer = torch.optim.LBFGS(loss.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(denoise, noised, schedule).mean()
        value.backward()
        return value

    optimizer.step(closure)
    mean = Score(0.0)(denoise, noised, schedule).reshape(10, LEVELS).mean(0)
    assert mean.max() > 20 * mean.min()  # the levels differ
    u = loss.u(schedule.marginal(noised.t[:LEVELS]).log_snr)
    torch.testing.assert_close(u.detach(), mean.log(), rtol=0, atol=1e-3)


def test_u_is_finite_where_no_signal_is_left():
    loss = Uncertainty(Simple(), channels=128)
    ends = torch.tensor([-torch.inf, torch.inf], dtype=torch.float64)
    torch.nn.init.ones_(loss.read_out.weight)
    assert loss.u(ends).isfinite().all()


def test_u_tells_the_levels_of_every_schedule_apart():
    """Its features have full rank over as many levels, one to two units of log_snr apart."""
    loss = Uncertainty(Simple(), channels=128).double()
    levels = torch.linspace(-12, 12, 16, dtype=torch.float64)
    features = torch.stack(
        [torch.autograd.grad(u, loss.read_out.weight, retain_graph=True)[0][0] for u in loss.u(levels)]
    )
    assert torch.linalg.matrix_rank(features, rtol=1e-4) == 16


@pytest.mark.parametrize("channels", [-2, 0, 1, 7])
def test_an_odd_number_of_channels_is_refused(channels):
    with pytest.raises(ValueError, match=r"loss\.channels"):
        Uncertainty(Simple(), channels)
