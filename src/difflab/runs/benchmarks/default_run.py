"""Bits per dimension of `python train.py` against another library that trained on the same images for as long."""

import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.evaluation import Sums
from difflab.likelihood import Exact
from difflab.process import Posterior
from difflab.runs.benchmarks import denoising_diffusion
from difflab.runs.benchmarks.denoising_diffusion import NAME
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.trained import trained

IMAGES = 120  # test images whose bound is added up in full


def default_run(settings: dict[str, Any]) -> list[Row]:
    """Both networks on the same test images with the same noise, by all terms of the bound.

    Raises:
        ConfigError: for a run on images that are not grey, or one that has not been trained to its end.
    """
    denoising_diffusion.library()
    ours = trained(settings["run"])
    if ours.data.shape[0] != 1 or "seconds/train" not in ours.figures:
        raise ConfigError(f"run: {settings['run']}; allowed are finished runs on grey images")
    data, budget = ours.data, ours.figures["seconds/train"]
    with tempfile.TemporaryDirectory() as folder:
        found, steps = denoising_diffusion.trained(
            Path(folder), data.train.pixels[:], data.levels, data.batch_size, budget
        )
    # The variance that its own sampler takes; decoder and clipping as ours.
    theirs = replace(
        ours,
        denoise=denoising_diffusion.denoiser(found).to(ours.denoise.device),
        likelihood=replace(ours.likelihood, variance=Posterior()),
    )
    mine, peer = (bits(side.scored(Exact(), 0, IMAGES)[0]) for side in (ours, theirs))
    difference = mine - peer
    mean, error = float(difference.mean()), float(difference.std()) / len(difference) ** 0.5
    whole = [run.scored(run.stratified, 0)[0] for run in (ours, theirs)]
    estimates = " and ".join(f"{sums.mean():.4f} ± {sums.noise**0.5:.4f}" for sums in whole)
    total = "" if ours.seconds is None else f" ({ours.seconds:.0f} s with start and evaluation)"
    how = (
        f"bits/dim of {len(mine)} test images by all terms of the bound, same noise and decoder; difference {mean:.4f} "
        f"± {error:.4f} over the images; all {len(whole[0].prior)} by the stratified estimate: {estimates}; "
        f"python train.py: {size(ours.denoise):,} parameters, {ours.figures['train/steps']:.0f} steps of "
        f"{data.batch_size} in {budget:.0f} s{total}; {NAME} {version(NAME)} by default, EMA weights: "
        f"{size(theirs.denoise):,} parameters, {steps} steps of {data.batch_size} in {budget:.0f} s; "
        f"{torch.get_num_threads()} threads each"
    )
    a, b = float(mine.mean()), float(peer.mean())
    return [Row("default_run", a, b, a / b, "", "below the peer's", mean + 2 * error < 0, how)]


def bits(sums: Sums) -> Tensor:
    """Bits per dimension of each image."""
    return sums.totals[0].mean(1) + sums.prior


def size(network: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in network.parameters())
