"""How many bits a model needs for an image: the bound, its terms, and estimates of their sum."""

from difflab.likelihood.bound import Bound
from difflab.likelihood.case import Case, Scored
from difflab.likelihood.cells import Cells
from difflab.likelihood.continuous import ContinuousBound
from difflab.likelihood.decoder import Decoder, Discretised, Gaussian, discretised_nats, gaussian_nats
from difflab.likelihood.estimate import Draws, Estimate, Exact, Stratified
from difflab.likelihood.ode import ProbabilityFlow, bits_per_dim

__all__ = [
    "Bound",
    "Case",
    "Cells",
    "ContinuousBound",
    "Decoder",
    "Discretised",
    "Draws",
    "Estimate",
    "Exact",
    "Gaussian",
    "ProbabilityFlow",
    "Scored",
    "Stratified",
    "bits_per_dim",
    "discretised_nats",
    "gaussian_nats",
]
