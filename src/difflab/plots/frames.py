"""The states of a reverse process as the frames of a film."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from difflab.plots.points import DATA, SAMPLES, Window, dots


def picture_frames(states: Sequence[UInt8[Tensor, "n c h w"]]) -> UInt8[Tensor, "t c height width"]:
    """Each state as a square grid of its pictures."""
    columns = int(np.ceil(len(states[0]) ** 0.5))
    shown = [s[:, :1] if s.shape[1] == 2 or s.shape[1] > 3 else s for s in states]
    return torch.stack([make_grid(s, columns, padding=1, pad_value=128) for s in shown])


def point_frames(
    states: Sequence[Float[Tensor, "n 2"]], titles: Sequence[str], reference: Float[Tensor, "m 2"] | None
) -> UInt8[Tensor, "t 3 height width"]:
    """Each state as a scatter over held-out data, in the square that holds the first state, the last and the data."""
    held = [states[0], states[-1]] if reference is None else [states[0], states[-1], reference]
    window = max((Window.around(points) for points in held), key=lambda window: window.half)
    frames = []
    for state, title in zip(states, titles, strict=True):
        figure = Figure(figsize=(4.4, 4.6), dpi=110, layout="constrained")
        axes = figure.subplots()
        if reference is not None:
            dots(axes, reference, DATA, alpha=0.6)
        dots(axes, state, SAMPLES)
        window.frame(axes)
        axes.set_title(title, fontsize=10, family="monospace")
        file = BytesIO()
        figure.savefig(file, format="png")
        frames.append(torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).permute(2, 0, 1))
    return torch.stack(frames)
