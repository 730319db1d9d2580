"""python two_processes.py FILE RANK SIZE NAMES...: figures of likelihoods by one of several processes, as JSON."""

import json
import sys
from types import SimpleNamespace

import torch
import torch.distributed as dist

from difflab.data import Images
from difflab.data.scaling import Scaling
from difflab.evaluation import Likelihood, Ode
from difflab.likelihood import Discretised, Exact, Stratified
from difflab.models import MLP, StepIndex
from difflab.prediction import Denoiser, V
from difflab.process import Posterior
from difflab.schedules import Linear


def figures(names: list[str]) -> dict[str, dict[str, float]]:
    """Of eleven images: a ragged last batch, and processes with unequal shares."""
    torch.manual_seed(0)
    schedule = Linear(40, beta_first=1e-4, beta_last=0.02)
    network = MLP((1, 4, 4), StepIndex(), 32, 1, 0.0)
    torch.nn.init.normal_(network.leave.weight, std=0.02)
    denoise = Denoiser(network, schedule, V()).eval().requires_grad_(False)
    parts = [Images(torch.randint(17, (n, 1, 4, 4), dtype=torch.uint8), None) for n in (11, 20)]
    data = SimpleNamespace(levels=17, scaling=Scaling(17), test=parts[0], val=parts[1])
    estimate = Stratified(4, 6, 0.2)
    known = {
        "ode": Ode(1e-3, 1e-3, 1, 2, None, 4, True, 50, estimate),
        "stratified": Likelihood(estimate, Posterior(), Discretised(), True, 16),
        "exact": Likelihood(Exact(), Posterior(), Discretised(), True, 90),
    }
    with torch.inference_mode():
        return {name: known[name].figures(denoise, data, None, 0).figures for name in names}  # type: ignore[arg-type]


def main(file: str, rank: int, size: int, names: list[str]) -> None:
    """One of `size` processes that meet at a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{file}", rank=rank, world_size=size)
    print(json.dumps(figures(names)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
