"""Experiments with a picture as their answer."""
