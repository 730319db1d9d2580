"""The reverse process of some samples as the frames of a film."""

from jaxtyping import UInt8
from torch import Tensor

from difflab.data import Indexed
from difflab.evaluation.asked import Asked
from difflab.evaluation.pictures import as_seen, decoded
from difflab.evaluation.trace import shown
from difflab.plots.frames import picture_frames, point_frames
from difflab.prediction import Denoiser
from difflab.samplers import Sampler

IMAGES, POINTS, FRAMES = 64, 500, 60  # at most


def film(
    denoise: Denoiser, sampler: Sampler, data: Indexed, n: int, seed: int, asked: Asked | None = None
) -> UInt8[Tensor, "t c h w"]:
    """Grids of images, or points over held-out points, from noise to samples number 0 .. n-1 of the seed.

    Raises:
        ConfigError: for samples that are not finite.
    """
    images = data.levels is not None
    moments = shown(denoise, sampler, data, min(n, IMAGES if images else POINTS), seed, FRAMES, asked)
    if images:
        return picture_frames([as_seen(moment.x, data) for moment in moments])
    titles = ["t = 0   " if moment.t is None else f"t = {moment.t:.2f}" for moment in moments]
    return point_frames([decoded(moment.x, data) for moment in moments], titles, data.test.values[:2000])
