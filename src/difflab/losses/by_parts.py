"""What the forms of score matching that differentiate the score share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from difflab.losses.noised import Noised
from difflab.losses.power import Power
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.schedules import Schedule


class ByParts(Power, ABC):
    """sigma^power (tr ds/dx + |s|^2 / 2), or an estimate of it, over the number of dimensions.

    Integrated by parts, its expectation is that of explicit score matching, less sigma^power / 2 E|grad log q|^2,
    which nothing can train (Hyvarinen, 2005, Theorem 1). It needs examples of q and nothing else, and is negative
    where s is good.

    The network is called once; its score is differentiated in x, and the loss in the weights. All of it is in the
    precision of x, under autocast too: derivatives of the size of 1/sigma^2 are beyond half precision, and no loss
    scale stands before them. Attention is computed by its plain formula, since fused kernels have no second
    derivative. It works under `no_grad` and `inference_mode`.

    Args:
        power: of sigma.
        noise: None for x = x_t. A number for x = x_0 + noise eps whatever t is, so that the score of the data itself
            is matched, with so little noise or none; the network is told t, and its score is that at t.

    Raises:
        ValueError: for a negative noise.
    """

    def __init__(self, power: float, noise: float | None) -> None:
        super().__init__(power)
        if noise is not None and not 0 <= noise < math.inf:
            raise ValueError(f"loss.noise: {noise}; allowed are numbers from 0, and null for x_t")
        self.noise = noise

    @abstractmethod
    def of(
        self,
        score: Float[Tensor, "batch *shape"],
        along: Callable[[Tensor], Tensor],
        normal: Callable[[], Tensor],
    ) -> Float[Tensor, " batch"]:
        """The loss without its power of sigma.

        Args:
            score: s(x).
            along: v to v^T (ds/dx) v over the number of dimensions, [batch].
            normal: fresh standard normal numbers of the shape of x.
        """

    def __call__(self, denoise: Denoiser, noised: Noised, schedule: Schedule) -> Float[Tensor, " batch"]:
        trains = torch.is_grad_enabled()
        full = torch.autocast(noised.x0.device.type, enabled=False)
        with torch.inference_mode(False), torch.enable_grad(), full, sdpa_kernel(SDPBackend.MATH):
            x = noised.x_t if self.noise is None else noised.x0 + self.noise * noised.eps
            x = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
            t = noised.t.detach().clone()  # made in inference mode, it could not be differentiated beside
            score = denoise(x, t).score

            def along(v: Tensor) -> Tensor:
                (row,) = torch.autograd.grad(score, x, v, retain_graph=True, create_graph=trains)
                return (row * v).flatten(1).mean(1)

            value = self.of(score, along, noised.normal)
            value = expand(schedule.marginal(t).sigma ** self.power, value) * value
        return value if trains else value.detach()


def half_square(score: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
    """|s|^2 / 2 over the number of dimensions."""
    return 0.5 * score.square().flatten(1).mean(1)
