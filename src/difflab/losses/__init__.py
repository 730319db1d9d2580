"""Losses: loss(denoise, noised, schedule) -> [batch]."""

from difflab.losses.edm import EDM
from difflab.losses.hybrid import Hybrid
from difflab.losses.min_snr import MinSNR
from difflab.losses.noised import Loss, Noised, square_error
from difflab.losses.output import Output
from difflab.losses.p2 import P2
from difflab.losses.score import Score
from difflab.losses.simple import Simple
from difflab.losses.snr import SNR
from difflab.losses.soft_min_snr import SoftMinSNR
from difflab.losses.truncated_snr import TruncatedSNR
from difflab.losses.uncertainty import Uncertainty
from difflab.losses.vlb import Vlb
from difflab.losses.weighting import Weighting

__all__ = [
    "EDM",
    "P2",
    "SNR",
    "Hybrid",
    "Loss",
    "MinSNR",
    "Noised",
    "Output",
    "Score",
    "Simple",
    "SoftMinSNR",
    "TruncatedSNR",
    "Uncertainty",
    "Vlb",
    "Weighting",
    "square_error",
]
