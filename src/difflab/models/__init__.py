"""Networks, each called as network(x, c_noise) with a `c_noise` that says what it is told about time; and oracles."""

from difflab.distributions import Distribution, Gaussian, Mixture
from difflab.models.dit import DiT
from difflab.models.empirical import Empirical, GaussianOfData
from difflab.models.mlp import MLP
from difflab.models.noise_embedding import Fourier, Sinusoids
from difflab.models.oracle import DataOracle, Oracle
from difflab.models.resampling import Convolutions, ResidualBlocks
from difflab.models.sinusoids import CosinesFirst, SinesFirst
from difflab.models.song_unet import SongUNet
from difflab.models.time_embedding import LogSigma, LogSnr, Nothing, ScaledIndex, StepIndex, Time
from difflab.models.unet import UNet
from difflab.models.vdm import VDM

__all__ = [
    "MLP",
    "VDM",
    "Convolutions",
    "CosinesFirst",
    "DataOracle",
    "DiT",
    "Distribution",
    "Empirical",
    "Fourier",
    "Gaussian",
    "GaussianOfData",
    "LogSigma",
    "LogSnr",
    "Mixture",
    "Nothing",
    "Oracle",
    "ResidualBlocks",
    "ScaledIndex",
    "SinesFirst",
    "Sinusoids",
    "SongUNet",
    "StepIndex",
    "Time",
    "UNet",
]
