"""From weights to figures: generation, scoring, and the protocol that says what is computed when."""

from difflab.evaluation.generate import generate
from difflab.evaluation.likelihood import Likelihood
from difflab.evaluation.protocol import Evaluation, Protocol
from difflab.evaluation.score import Scorer, Sums

__all__ = ["Evaluation", "Likelihood", "Protocol", "Scorer", "Sums", "generate"]
