"""How training times are drawn."""

from difflab.times.importance import Importance
from difflab.times.log_snr import LogSNR
from difflab.times.logit_normal import LogitNormal
from difflab.times.lognormal import LogNormal
from difflab.times.one_level import OneLevel
from difflab.times.stratified import Stratified, spread
from difflab.times.times import Drawn, Observer, Times, nearest, place
from difflab.times.uniform import Uniform
from difflab.times.weighted import Weighted

__all__ = [
    "Drawn",
    "Importance",
    "LogNormal",
    "LogSNR",
    "LogitNormal",
    "Observer",
    "OneLevel",
    "Stratified",
    "Times",
    "Uniform",
    "Weighted",
    "nearest",
    "place",
    "spread",
]
