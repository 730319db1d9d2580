"""A learned weight for each noise level."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.losses.noised import Loss, Noised
from difflab.prediction import Denoiser
from difflab.schedules import Schedule


class Uncertainty(nn.Module):
    """e/exp(u) + u, where e is another loss and u(t) is learned (Kendall & Gal, 2018; Karras et al., 2024, Eq. 21).

    At its optimum u is the logarithm of the mean of e at this noise level, so every level trains with about the same
    gradient; e is as trainable as before. u starts at 0, where the loss is e.

    u is linear in Fourier features of log_snr/8, which is -log(sigma/alpha)/4 as in EDM2. Their frequencies are
    quantiles of the standard normal distribution instead of draws from it, so that no random numbers are used.

    Args:
        base: the loss e.
        channels: number of features, a sine and a cosine for each frequency.

    Raises:
        ValueError: unless channels is even and positive.
    """

    frequencies: Tensor

    def __init__(self, base: Loss, channels: int) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"loss.channels: {channels}; allowed are even numbers from 2")
        self.base = base
        above = (torch.arange(channels // 2) + 0.5) / (channels // 2)
        self.register_buffer("frequencies", torch.special.ndtri((1 + above.double()) / 2).float(), persistent=False)
        self.read_out = nn.Linear(channels, 1)
        nn.init.zeros_(self.read_out.weight)
        nn.init.zeros_(self.read_out.bias)

    def u(self, log_snr: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The logarithm of the expected loss at these noise levels."""
        place = log_snr.detach().clamp(-30, 30).to(self.frequencies) / 8
        angle = 2 * math.pi * place[:, None] * self.frequencies
        features = math.sqrt(2) * torch.cat([angle.sin(), angle.cos()], dim=1)
        return self.read_out(features.to(self.read_out.weight))[:, 0]

    @torch.no_grad()
    def weight(self, denoise: Denoiser, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """That of the other loss, over exp(u) as it is now."""
        log_snr = denoise.schedule.marginal(t).log_snr
        return self.base.weight(denoise, t) * torch.exp(-self.u(log_snr)).to(t)

    def forward(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        error = self.base(denoise, noised, schedule)
        u = self.u(schedule.marginal(noised.t).log_snr).to(error)
        return error * torch.exp(-u) + u
