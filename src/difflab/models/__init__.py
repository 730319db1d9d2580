"""Networks, each called as network(x, c_noise) with a `c_noise` that says what it is told about time; and oracles."""

from difflab.distributions import Distribution, Gaussian, Mixture
from difflab.models.empirical import Empirical, GaussianOfData
from difflab.models.mlp import MLP
from difflab.models.oracle import DataOracle, Oracle
from difflab.models.time_embedding import LogSigma, LogSnr, Nothing, StepIndex
from difflab.models.unet import UNet

__all__ = [
    "MLP",
    "DataOracle",
    "Distribution",
    "Empirical",
    "Gaussian",
    "GaussianOfData",
    "LogSigma",
    "LogSnr",
    "Mixture",
    "Nothing",
    "Oracle",
    "StepIndex",
    "UNet",
]
