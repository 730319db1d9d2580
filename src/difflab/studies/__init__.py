"""Experiments with a picture as their answer."""

from difflab.studies.bound_terms import BoundTerms
from difflab.studies.ddim_steps import DDIMSteps
from difflab.studies.guidance import Guidance
from difflab.studies.latent_codes import LatentCodes
from difflab.studies.score_fields import ScoreFields
from difflab.studies.score_matching import ScoreMatching
from difflab.studies.sliced_noise import SlicedNoise
from difflab.studies.slow_mixing import SlowMixing
from difflab.studies.sweep_table import SweepTable
from difflab.studies.swiss_roll import SwissRoll

__all__ = [
    "BoundTerms",
    "DDIMSteps",
    "Guidance",
    "LatentCodes",
    "ScoreFields",
    "ScoreMatching",
    "SlicedNoise",
    "SlowMixing",
    "SweepTable",
    "SwissRoll",
]
