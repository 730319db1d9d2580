"""The loss by quarter of time: where along the noise a model errs, which one mean over all times hides."""

import torch
from jaxtyping import Float
from torch import Tensor

QUARTERS = 4


def by_quarter(losses: Float[Tensor, "*steps batch"], t: Float[Tensor, "*steps batch"]) -> Float[Tensor, "*steps 8"]:
    """Sums of losses with t in (0, 1/4], (1/4, 1/2], (1/2, 3/4], (3/4, 1], and how many they are; on their device.

    Args:
        losses: of examples, without the weights that make up for how their times were drawn.
    """
    quarter = (QUARTERS * t).ceil().clamp(1, QUARTERS).long() - 1  # t = 0, of a ladder, counts with the first
    sums = torch.zeros(*losses.shape[:-1], 2 * QUARTERS, dtype=torch.float64, device=losses.device)
    sums.scatter_add_(-1, quarter, losses.double())
    return sums.scatter_add_(-1, quarter + QUARTERS, torch.ones_like(losses, dtype=torch.float64))


def quarter_means(sums: list[float]) -> dict[str, float]:
    """Figures of such sums, over steps and processes: a mean over the times that were drawn in each quarter, by the
    name that Improved DDPM gave it (Nichol & Dhariwal, 2021, their code); no figure of a quarter without a time."""
    totals, counts = sums[:QUARTERS], sums[QUARTERS:]
    pairs = enumerate(zip(totals, counts, strict=True))
    return {f"train/loss_q{q}": total / count for q, (total, count) in pairs if count}
