"""Losses: loss(denoise, noised, schedule) -> [batch]."""

from difflab.losses.by_parts import ByParts
from difflab.losses.edm import EDM
from difflab.losses.explicit import Explicit
from difflab.losses.hybrid import Hybrid
from difflab.losses.implicit import Implicit
from difflab.losses.min_snr import MinSNR
from difflab.losses.noised import Loss, Noised, square_error
from difflab.losses.output import Output
from difflab.losses.p2 import P2
from difflab.losses.power import Power
from difflab.losses.projections import Normal, Projection, Rademacher, Sphere
from difflab.losses.score import Score
from difflab.losses.simple import Simple
from difflab.losses.sliced import Sliced
from difflab.losses.sliced_vr import SlicedVR
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
    "ByParts",
    "Explicit",
    "Hybrid",
    "Implicit",
    "Loss",
    "MinSNR",
    "Noised",
    "Normal",
    "Output",
    "Power",
    "Projection",
    "Rademacher",
    "Score",
    "Simple",
    "Sliced",
    "SlicedVR",
    "SoftMinSNR",
    "Sphere",
    "TruncatedSNR",
    "Uncertainty",
    "Vlb",
    "Weighting",
    "square_error",
]
