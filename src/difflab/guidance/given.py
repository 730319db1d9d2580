"""A denoiser that has been told the condition of each example: what losses, samplers and bounds call."""

from jaxtyping import Float
from torch import Tensor

from difflab.condition import Condition
from difflab.prediction import Denoiser, Prediction
from difflab.schedules import Marginal


class View(Denoiser):
    """A denoiser that calls another one in its own way; it has no weights of its own.

    Args:
        denoise: the other one.
    """

    def __init__(self, denoise: Denoiser) -> None:
        super().__init__(denoise.network, denoise.schedule, denoise.parameterisation, denoise.conditioning)
        self.denoise = denoise

    @property
    def calls_beside(self) -> int:
        """How often the network was called, on each example, beside the calls that were asked of this view."""
        return self.denoise.calls_beside if isinstance(self.denoise, View) else 0

    @property
    def given(self) -> Condition:
        """The condition under which the other one answers where a call says none."""
        return self.denoise.given if isinstance(self.denoise, View) else Condition()


class Given(View):
    """denoise(x_t, t) for examples whose condition is known, a row for each.

    Args:
        denoise: which network.
        condition: of all examples that it will be called with, in their order.
    """

    def __init__(self, denoise: Denoiser, condition: Condition) -> None:
        super().__init__(denoise)
        self.condition = condition

    @property
    def given(self) -> Condition:
        return self.condition

    def forward(
        self,
        x: Float[Tensor, "batch *shape"],
        t: Float[Tensor, " batch"],
        at: Marginal | None = None,
        condition: Condition | None = None,
    ) -> Prediction:
        """The prediction under the condition that was given; another one may be said for this call."""
        return self.denoise(x, t, at, self.condition if condition is None else condition)
