"""Denoiser -> Denoiser: told a condition, guided towards it, or with its own earlier estimate."""

from difflab.guidance.classifier_free import ClassifierFree, Guided, rescaled
from difflab.guidance.given import Given, View
from difflab.guidance.recalled import Recalled, Remembering

__all__ = ["ClassifierFree", "Given", "Guided", "Recalled", "Remembering", "View", "rescaled"]
