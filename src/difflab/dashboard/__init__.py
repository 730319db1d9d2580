"""Weights & Biases' own pages about our runs: a workspace for the project, a report for an ablation."""
