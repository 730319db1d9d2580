"""From weights to figures: generation, scoring, and the protocol that says what is computed when."""

from difflab.evaluation.generate import Generation, generate
from difflab.evaluation.likelihood import Continuous, Likelihood
from difflab.evaluation.measure import measure
from difflab.evaluation.protocol import Evaluation, Protocol
from difflab.evaluation.score import Scorer, Sums

__all__ = ["Continuous", "Evaluation", "Generation", "Likelihood", "Protocol", "Scorer", "Sums", "generate", "measure"]
