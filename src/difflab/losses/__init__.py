"""Losses: loss(denoise, noised, schedule) -> [batch]."""

from difflab.losses.noised import Loss, Noised, square_error
from difflab.losses.score import Score
from difflab.losses.simple import Simple
from difflab.losses.vlb import Vlb

__all__ = ["Loss", "Noised", "Score", "Simple", "Vlb", "square_error"]
