"""UniPC: a multistep predictor whose every state is corrected by the next network call, at no further calls."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from difflab.prediction import Prediction
from difflab.samplers.dpm_solver import check_order, first_order, reach
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step, Visit
from difflab.schedules import Marginal


class UniPC(Sampler):
    """UniP-p, then UniC-p with the prediction at the state that it led to (Zhao et al., 2023, Algorithms 1 and 2).

    In data prediction with B(h) = e^-h - 1 ("bh2") and p = `order`. Both integrate the polynomial in log_snr/2 through
    visits: the predictor through the newest p, the corrector through these and the one it corrects, so that the
    corrected states are of order p + 1. The corrected state replaces the predicted one in `step.past`; the network is
    not called there again.

    The order grows with the history and falls to 2 at the last step before the denoising. A visit at alpha = 0 does not
    count as history, as in `DPMSolver`.

    Args:
        grid, steps, clip: as for every sampler.
        order: 1, 2 or 3.

    Raises:
        ValueError: for orders that do not exist.
    """

    deterministic = True

    def __init__(self, grid: Grid, steps: int | None, clip: bool | float, order: int) -> None:
        super().__init__(grid, steps, clip)
        self.order = check_order(order)

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        past, left = step.past, step.steps - step.number
        if step.number > 0:
            *before, here = past
            order = min(self.order, left + 1, reach(before, here.at))  # of the step that led here
            x = integrate(before[-order:], here.at, here)
            past[-1] = here._replace(x=x)
        return integrate(past[-min(self.order, left, reach(past, step.at_s)) :], step.at_s)


def integrate(visits: Sequence[Visit], at_s: Marginal, at_end: Visit | None = None) -> Tensor:
    """x_s from the newest of `visits`, with x0_hat the polynomial in log_snr/2 through all of them.

    Args:
        visits: the newest last.
        at_s: the marginal to arrive at.
        at_end: a visit there, for the polynomial to pass through as well.
    """
    *others, newest = visits
    of_xt, of_x0 = first_order(at_s, newest.at)
    start = float(newest.at.log_snr)
    h = (float(at_s.log_snr) - start) / 2
    nodes = [(float(visit.at.log_snr) - start) / 2 / h for visit in others]
    if at_end is not None:
        others, nodes = [*others, at_end], [*nodes, 1.0]
    shares = weights(nodes, float(at_s.alpha), of_x0, h)
    x_s = (of_xt * newest.x).add(newest.prediction.x0, alpha=of_x0 - sum(shares))
    for share, visit in zip(shares, others, strict=True):
        x_s = x_s.add(visit.prediction.x0, alpha=share)
    return x_s


def weights(nodes: list[float], alpha: float, of_x0: float, h: float) -> list[float]:
    """The weight of m_k - m_0 for each node r_k = (l_k - l_0)/h (Zhao et al., 2023, Eq. 5 and 6).

    The integral of the polynomial that is 1 at r_k and 0 at 0 and at the other nodes, from the moments
    I_j = alpha_s int_0^h e^{l - h} (l/h)^j dl = alpha_s - j/h I_{j-1} (by parts), with I_0 = of_x0. B(h) of the paper
    cancels, but for a single node: there the authors choose -alpha_s B(h)/(2 r), right to the same order; it is finite
    for an infinite h as well.
    """
    if len(nodes) < 2:
        return [of_x0 / 2 / node for node in nodes]
    moments = [alpha - of_x0 / h]
    for j in range(2, len(nodes) + 1):
        moments.append(alpha - j / h * moments[-1])
    shares = []
    for k, node in enumerate(nodes):
        of_powers, scale = moments, node
        for other in nodes[:k] + nodes[k + 1 :]:
            of_powers = [higher - other * lower for lower, higher in pairwise(of_powers)]  # times (u - other)
            scale *= node - other
        shares.append(of_powers[0] / scale)
    return shares
