"""Noise schedules: alpha(t), sigma(t), log_snr(t), one family a file; warps change a schedule."""

from difflab.schedules.chain import Chain
from difflab.schedules.cosine import Cosine
from difflab.schedules.flow import Flow
from difflab.schedules.geometric import Geometric
from difflab.schedules.karras import Karras
from difflab.schedules.learned import Learned
from difflab.schedules.linear import Linear
from difflab.schedules.log_snr_shift import LogSnrShift
from difflab.schedules.quadratic import Quadratic
from difflab.schedules.schedule import Marginal, Schedule
from difflab.schedules.sigmoid import Sigmoid
from difflab.schedules.subvp import SubVP
from difflab.schedules.vp import VP
from difflab.schedules.warp import Warp
from difflab.schedules.zero_terminal_snr import ZeroTerminalSnr

__all__ = [
    "VP",
    "Chain",
    "Cosine",
    "Flow",
    "Geometric",
    "Karras",
    "Learned",
    "Linear",
    "LogSnrShift",
    "Marginal",
    "Quadratic",
    "Schedule",
    "Sigmoid",
    "SubVP",
    "Warp",
    "ZeroTerminalSnr",
]
