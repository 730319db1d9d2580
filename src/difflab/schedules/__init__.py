"""Noise schedules: alpha(t), sigma(t), log_snr(t), one family a file."""

from difflab.schedules.chain import Chain
from difflab.schedules.cosine import Cosine
from difflab.schedules.linear import Linear
from difflab.schedules.schedule import Marginal, Schedule

__all__ = ["Chain", "Cosine", "Linear", "Marginal", "Schedule"]
