"""DPM-Solver++: the multistep exponential integrator of the reverse process, in data prediction."""

import math
from collections.abc import Sequence

from torch import Tensor

from difflab.prediction import Prediction
from difflab.samplers.grid import Grid
from difflab.samplers.sampler import Noise, Sampler, Step, Visit
from difflab.schedules import Marginal

VARIANTS = {"corrected": 2.0, "published": 1.0}
ORDERS = (1, 2, 3)


class DPMSolver(Sampler):
    """x0_hat as a polynomial in l = log_snr/2 through the newest visits, the linear part solved exactly.

    With h = l_s - l_t, r0 and r1 the two gaps before it in units of h, m_i the x0_hat of the visits, newest first,
    D1_0 = (m_0 - m_1)/r0 and D1_1 = (m_1 - m_2)/r1, the multistep methods of Lu et al. (2022, DPM-Solver++) are

        order 1   x_s = sigma_s/sigma_t x_t + alpha_s (1 - e^-h) m_0, which is DDIM
        order 2   m_0 + D1_0/2 in the place of m_0 (Algorithm 2, "midpoint")
        order 3   + alpha_s (1 - (1 - e^-h)/h) D1 + alpha_s (1/2 - (h - 1 + e^-h)/h^2) D2
                  with D1 = D1_0 + r0 (D1_0 - D1_1)/(r0 + r1)

    The integral of the quadratic through three visits needs its second derivative, D2 = 2 (D1_0 - D1_1)/(r0 + r1):
    that is `corrected`, of order 3. What the authors and diffusers run has half of it and is of order 2: `published`.

    The stochastic solver integrates the reverse SDE, with 2h for h in the exponentials, the mean of
    q(x_s | x_t, x0_hat) as order 1, and that posterior's noise. Its third order in diffusers has the wrong sign before
    the 1/2, which leaves a term that does not vanish with h; here it is the integral.

    The first steps are of the order that their history allows, and below 15 steps the last before the denoising is at
    most of order 2. A visit at alpha = 0 is at l = -inf, where no polynomial passes: it does not count as history.

    Args:
        grid, steps, clip: as for every sampler.
        order: 1, 2 or 3.
        stochastic: the SDE, not the ODE.
        variant: corrected or published: the second derivative of order 3.

    Raises:
        ValueError: for orders and variants that do not exist.
    """

    def __init__(
        self, grid: Grid, steps: int | None, clip: bool | float, order: int, stochastic: bool, variant: str
    ) -> None:
        super().__init__(grid, steps, clip)
        if variant not in VARIANTS:
            raise ValueError(f"sampler.variant: {variant}; allowed are {', '.join(VARIANTS)}")
        self.order, self.stochastic, self.variant = check_order(order), stochastic, variant
        self.deterministic = not stochastic

    def step(self, x: Tensor, prediction: Prediction, step: Step, noise: Noise) -> Tensor:
        order = min(self.order, reach(step.past, step.at_s))
        if step.steps < 15 and step.number == step.steps - 2:
            order = min(order, 2)
        if self.stochastic:
            q = step.transition
            x_s = float(q.of_xt) * x + self.data(order, float(q.of_x0), 2, step)
            return x_s + math.sqrt(q.posterior_var) * noise().to(x)
        of_xt, of_x0 = first_order(step.at_s, step.at_t)
        return of_xt * x + self.data(order, of_x0, 1, step)

    def data(self, order: int, of_x0: float, rate: int, step: Step) -> Tensor:
        """The weighted sum of the newest predictions of x_0.

        Args:
            order: how many of them.
            of_x0: the weight of one alone, alpha_s (1 - e^{-rate h}).
            rate: 1 for the ODE, 2 for the SDE.
        """
        m = [visit.prediction.x0 for visit in reversed(step.past[-order:])]
        if order == 1:
            return of_x0 * m[0]
        at = [float(visit.at.log_snr) / 2 for visit in reversed(step.past[-order:])]
        h = float(step.at_s.log_snr) / 2 - at[0]
        r0 = (at[0] - at[1]) / h
        if order == 2:
            a = of_x0 / 2 / r0
            return (of_x0 + a) * m[0] - a * m[1]
        r1 = (at[1] - at[2]) / h
        alpha = float(step.at_s.alpha)
        of_d1 = alpha - of_x0 / (rate * h)
        of_d2 = alpha / 2 - of_d1 / (rate * h)
        # the weight of D1_0 - D1_1, then those of m_0 - m_1 and m_1 - m_2
        bend = (r0 * of_d1 + VARIANTS[self.variant] * of_d2) / (r0 + r1)
        a, b = (of_d1 + bend) / r0, bend / r1
        return (of_x0 + a) * m[0] - (a + b) * m[1] + b * m[2]


def first_order(at_s: Marginal, at_t: Marginal) -> tuple[float, float]:
    """The weights of x_t and x0_hat where x0_hat is constant: sigma_s/sigma_t and alpha_s (1 - e^-h).

    Without the exponential, so that alpha may be 0 at either end.
    """
    of_xt = float(at_s.sigma) / float(at_t.sigma)
    return of_xt, float(at_s.alpha) - float(at_t.alpha) * of_xt


def reach(past: Sequence[Visit], at_s: Marginal) -> int:
    """How many of the newest visits a polynomial in log_snr can pass through on the way to s; at least 1."""
    if not math.isfinite(at_s.log_snr):
        return 1
    return max(1, sum(math.isfinite(visit.at.log_snr) for visit in past))


def check_order(order: int) -> int:
    """The order, where it exists."""
    if order not in ORDERS:
        raise ValueError(f"sampler.order: {order}; allowed are {', '.join(map(str, ORDERS))}")
    return order
