"""No signal left at the last step."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from difflab.schedules.schedule import Marginal
from difflab.schedules.warp import Warp


class ZeroTerminalSnr(Warp):
    """alpha shifted to 0 at t = 1 and scaled back to what it was at t_min (Lin et al., 2024, Algorithm 1).

    alpha' = (alpha - alpha(1)) alpha(t_min) / (alpha(t_min) - alpha(1)) in continuous time; on the grid of a chain it
    is their algorithm. Differences of alphas near 1 are taken from the sigmas, where nothing cancels.
    """

    def marginal(self, t: Float[Tensor, "*batch"]) -> Marginal:
        alpha, sigma, _ = self.schedule.marginal(t)
        (first, last), (noise, _) = self._ends(t.device)
        shrink = first / (first - last)
        above = alpha - last
        # Exactly 0 at t = 1 and never below, whatever the rounding, with its derivative (a clamp has none at 0).
        above = torch.where((t >= 1) | (above < 0), above - above.detach(), above)
        # first - alpha' and, from it, 1 - alpha'^2 = sigma(t_min)^2 + (first - alpha') (first + alpha')
        below = shrink * (sigma**2 - noise**2) / (first + alpha)
        warped = shrink * above
        variance = noise**2 + below * (first + warped)
        return Marginal(warped, variance.sqrt(), 2 * warped.log() - variance.log())

    def time(self, log_snr: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        log_snr = log_snr.double()
        (first, last), (noise, _) = self._ends(log_snr.device)
        warped = torch.exp(0.5 * logsigmoid(log_snr))
        below = (torch.sigmoid(-log_snr) - noise**2).clamp(min=0) / (first + warped) * (first - last) / first
        alpha = first - below
        return self.schedule.time(2 * alpha.log() - torch.log(noise**2 + below * (first + alpha)))

    def _ends(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """alpha and sigma of the schedule at t_min and 1, [2] each."""
        ends = torch.tensor([self.t_min, 1.0], dtype=torch.float64, device=device)
        alpha, sigma, _ = self.schedule.marginal(ends)
        return alpha, sigma
