"""A small network that two processes share out, and what each of them sees of it."""

from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from lightning import LightningModule
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from difflab.models import MLP, StepIndex
from difflab.prediction import Denoiser, V
from difflab.schedules import Linear
from difflab.training import EMA, constant_ema
from difflab.training.sharding import Shards, collect, complete, like, local

STEPS = 3
T = torch.full((8,), 0.5, dtype=torch.float64)


def module() -> LightningModule:
    """A denoiser of 4 x 4 images, the same each time."""
    torch.manual_seed(0)
    made = LightningModule()
    made.denoiser = Denoiser(MLP((1, 4, 4), StepIndex(), 16, 2, 0.0), Linear(40, 1e-4, 0.02), V())
    nn.init.normal_(made.denoiser.network.leave.weight, std=0.1)
    return made


def trained(made: LightningModule, rows: slice, ema: EMA) -> torch.optim.Optimizer:
    """A few clipped steps on these examples of each batch, averaged after each."""
    optimizer = torch.optim.AdamW(made.parameters(), 1e-2, fused=True)
    ema.on_fit_start(None, made)
    for step in range(STEPS):
        x = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (made.denoiser(x[rows], T[rows]).x0 - 1).square().mean().backward()
        nn.utils.clip_grad_norm_(made.parameters(), 0.1)
        optimizer.step()
        ema.on_train_batch_end(SimpleNamespace(global_step=step + 1), made)
    return optimizer


def process(rank: int, folder: Path) -> None:
    """One of two that share a network; what it saw, in a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=2)
    made, ema = module(), constant_ema(0.5, warmup=False)
    made.shards = shards = Shards(made.denoiser, init_device_mesh("cpu", (2,)), block=1)
    optimizer = trained(made, slice(4 * rank, 4 * rank + 4), ema)
    moments = [m for state in optimizer.state.values() for m in state.values() if m.ndim]
    held = {"weights": made.parameters(), "moments": moments, "average": ema.average.values()}
    seen = {"held": {name: sum(local(w).numel() for w in tensors) for name, tensors in held.items()}}
    x = torch.ones(8, 1, 4, 4)
    try:
        with torch.inference_mode(), ema.averaged(made), ema.averaged(made):
            for _ in range(rank + 1):  # unequal numbers of calls: nobody waits for the other
                seen["with average"] = made.denoiser(x, T).x0
            raise KeyError
    except KeyError:
        assert made.denoiser.network is shards.network
    seen["with weights"] = made.denoiser(x, T).x0.detach()
    seen["average"] = collect(ema.average)
    weight = made.denoiser.network.enter.weight.detach()
    seen["again"] = torch.equal(local(like(complete(weight), weight)), local(weight))
    torch.save(seen, folder / f"{rank}.pt")
    dist.destroy_process_group()
