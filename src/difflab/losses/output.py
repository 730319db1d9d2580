"""Plain mean square error of whatever the network outputs."""

from torch import Tensor

from difflab.losses.weighting import Weighting
from difflab.prediction import Denoiser
from difflab.schedules import Marginal


class Output(Weighting):
    """|F - F*|^2, where F* is the output that gives the true x_0: what "simple" means to users of v and flow.

    In eps space (sigma / (alpha c_out))^2: 1 for eps, 1/SNR for x0, 1 + 1/SNR for v on a variance-preserving
    schedule, 1/(1 - t)^2 for flow.
    """

    def of_eps(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return (at.sigma / (at.alpha * denoise.parameterisation.row(at).c_out)) ** 2

    def of_x0(self, at: Marginal, denoise: Denoiser) -> Tensor:
        return 1 / denoise.parameterisation.row(at).c_out ** 2
