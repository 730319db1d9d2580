"""How training times are drawn."""

from difflab.times.stratified import Stratified
from difflab.times.uniform import Times, Uniform, spread

__all__ = ["Stratified", "Times", "Uniform", "spread"]
