"""What a network is told about time: c_noise, and its embedding."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.models.sinusoids import SinesFirst, SinusoidKind
from difflab.schedules import Schedule


class StepIndex:
    """c_noise = k - 1 at t_k = k/T: the 0-based index that published DDPM weights were trained on.

    In continuous time 1000 t.
    """

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return (1000 * t if schedule.T is None else t * schedule.T - 1).float()


class ScaledIndex:
    """c_noise = 1000 (k - 1)/T at t_k = k/T: from 0 to below 1000 for any T (Nichol & Dhariwal, 2021).

    It is what most published weights of Improved DDPM were trained on, T = 4000 among them. In continuous time 1000 t.
    """

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return (1000 * (t if schedule.T is None else t - 1 / schedule.T)).float()


class Time:
    """c_noise = t, from 0 to 1, as published code of flow matching tells it (Tong et al., 2024)."""

    def __call__(self, schedule: Schedule, t: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        return t.float()


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

    Args:
        channels: number of sinusoids, even.
        width: of the embedding that comes out.
        sinusoids: which, and in which order.
    """

    def __init__(self, channels: int, width: int, sinusoids: SinusoidKind | None = None) -> None:
        super().__init__()
        self.sinusoids: SinusoidKind = sinusoids or SinesFirst()
        self.register_buffer("frequencies", self.sinusoids.frequencies(channels // 2), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        return self.mlp(self.sinusoids.of(c_noise[:, None] * self.frequencies))
