"""Rows of scripts/benchmark.py that measure more than seconds."""
