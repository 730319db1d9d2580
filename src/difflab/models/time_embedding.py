"""What a network is told about time: c_noise, and its sinusoidal embedding."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.schedules import Schedule


class StepIndex:
    """c_noise = k - 1 at t_k = k/T: the 0-based index that published DDPM weights were trained on.

    In continuous time 1000 t.
    """

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return (1000 * t if schedule.T is None else t * schedule.T - 1).float()


class LogSigma:
    """c_noise = log(sigma/alpha)/4 (Karras et al., 2022, Table 1)."""

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return (-schedule.marginal(t).log_snr.clamp(-40, 40) / 8).float()


class LogSnr:
    """c_noise from 0 at log_snr = `highest` to 1000 at `lowest` (Kingma et al., 2021, appendix B, scaled).

    It means the same noise whatever the schedule: for schedule=learned, and to sample on another schedule.

    Args:
        highest, lowest: log_snr; values beyond them are told as they are.
    """

    def __init__(self, highest: float, lowest: float) -> None:
        if not lowest < highest:
            raise ValueError(f"model.c_noise.lowest: {lowest}; allowed are numbers below highest = {highest}")
        self.highest, self.lowest = highest, lowest

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        log_snr = schedule.marginal(t).log_snr.clamp(-40, 40)
        return (1000 * (self.highest - log_snr) / (self.highest - self.lowest)).float()


class Nothing:
    """c_noise = 0 at all times: an unconditional network (Song & Ermon, 2020, Technique 3)."""

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return torch.zeros_like(t, dtype=torch.float32)


class TimeEmbedding(nn.Module):
    """Sinusoids of c_noise (Vaswani et al., 2017, section 3.5, as in Ho et al., 2020), then two linear layers.

    Sines come first, then cosines, at frequencies 10000^(-i/(half - 1)).

    Args:
        channels: number of sinusoids, even.
        width: of the embedding that comes out.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        half = channels // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
        self.register_buffer("frequencies", frequencies.float(), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        angle = c_noise[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=1))
