"""From weights to figures: generation, scoring, distances, and the protocol that says what is computed when."""

from difflab.evaluation.asked import Asked, Guidance
from difflab.evaluation.distances import (
    Frechet,
    Infinity,
    Kernel,
    MaximumMeanDiscrepancy,
    Memorisation,
    PrecisionRecall,
    Score,
)
from difflab.evaluation.evaluation import Drawing, Evaluation, Metrics
from difflab.evaluation.examples import Examples, check_labels, conditioned
from difflab.evaluation.film import film
from difflab.evaluation.generate import Generation, generate
from difflab.evaluation.likelihood import Continuous, Likelihood, Scores
from difflab.evaluation.measure import measure
from difflab.evaluation.ode import Ode
from difflab.evaluation.pictures import as_pictures, decoded, picture
from difflab.evaluation.points import PointProtocol
from difflab.evaluation.protocol import Protocol
from difflab.evaluation.score import Scorer, Sums
from difflab.evaluation.space import FeatureSpace
from difflab.evaluation.store import Store
from difflab.evaluation.trace import Moment, scaled, trace

__all__ = [
    "Asked",
    "Continuous",
    "Drawing",
    "Evaluation",
    "Examples",
    "FeatureSpace",
    "Frechet",
    "Generation",
    "Guidance",
    "Infinity",
    "Kernel",
    "Likelihood",
    "MaximumMeanDiscrepancy",
    "Memorisation",
    "Metrics",
    "Moment",
    "Ode",
    "PointProtocol",
    "PrecisionRecall",
    "Protocol",
    "Score",
    "Scorer",
    "Scores",
    "Store",
    "Sums",
    "as_pictures",
    "check_labels",
    "conditioned",
    "decoded",
    "film",
    "generate",
    "measure",
    "picture",
    "scaled",
    "trace",
]
