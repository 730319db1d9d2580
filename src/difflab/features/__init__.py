"""Feature extractors: 8-bit pictures to [N, d]."""

from difflab.features.classifier import Classifier
from difflab.features.extractor import Extractor, Labelled

__all__ = ["Classifier", "Extractor", "Labelled"]
