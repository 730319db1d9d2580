"""Samplers: one a file, on a shared loop over a falling grid of times."""

from difflab.samplers.ancestral import Ancestral
from difflab.samplers.ddim import DDIM
from difflab.samplers.dpm_solver import DPMSolver
from difflab.samplers.grid import Explicit, Grid, Karras, Leading, LogSNR, Quadratic, Trailing, Uniform
from difflab.samplers.heun import Heun
from difflab.samplers.langevin import Langevin
from difflab.samplers.ode import ODE
from difflab.samplers.plain_langevin import PlainLangevin
from difflab.samplers.predictor_corrector import PredictorCorrector
from difflab.samplers.repaint import RePaint
from difflab.samplers.sampler import Noise, Sampler, State, Step, Visit, Walk, Watch, encode, slerp
from difflab.samplers.threshold import Clip, Dynamic, Threshold
from difflab.samplers.unipc import UniPC

__all__ = [
    "DDIM",
    "ODE",
    "Ancestral",
    "Clip",
    "DPMSolver",
    "Dynamic",
    "Explicit",
    "Grid",
    "Heun",
    "Karras",
    "Langevin",
    "Leading",
    "LogSNR",
    "Noise",
    "PlainLangevin",
    "PredictorCorrector",
    "Quadratic",
    "RePaint",
    "Sampler",
    "State",
    "Step",
    "Threshold",
    "Trailing",
    "UniPC",
    "Uniform",
    "Visit",
    "Walk",
    "Watch",
    "encode",
    "slerp",
]
