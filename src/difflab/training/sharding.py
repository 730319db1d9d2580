"""A network shared out among processes: each holds a slice of every weight, of its average and of the optimizer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
import torch.distributed as dist
from lightning import LightningModule
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from difflab.prediction import Denoiser

NETWORK = "denoiser.network."  # where the network lies in the LightningModule


def blocks(network: nn.Module, least: int) -> list[nn.Module]:
    """What is gathered by itself: every element of a list of layers with so many parameters; inner ones come first."""
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    elements = [element for listed in reversed(lists) for element in listed]
    return [element for element in elements if sum(p.numel() for p in element.parameters()) >= least]


class Shards:
    """The network of a denoiser by FSDP2 (Zhao et al., 2023): weights are whole only while they compute.

    A block's weights are gathered before it runs, forwards and backwards, and let go after it; gradients are averaged
    over the processes and kept in slices. All processes must therefore call the network equally often.

    Args:
        denoiser: whose network is shared out, in place.
        mesh: of the processes.
        block: parameters from which on an element of a list of layers is gathered by itself.
    """

    def __init__(self, denoiser: Denoiser, mesh: DeviceMesh, block: int) -> None:
        self.denoiser, self.network = denoiser, denoiser.network
        hollow = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in self.network.parameters()}
        self.hollow = deepcopy(self.network, hollow)  # the same layers, without memory for weights
        for p, without in zip(self.network.parameters(), self.hollow.parameters(), strict=True):
            without.requires_grad_(p.requires_grad)
            p.data = p.data.contiguous()  # FSDP2 cuts nothing else
        for element in blocks(self.network, block):
            fully_shard(element, mesh=mesh)
        fully_shard(self.network, mesh=mesh)

    @contextmanager
    def whole(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Within it the denoiser has a network of its own on every process, which none must wait for.

        Args:
            weights: of that network, in slices, by their names in the LightningModule; where there is none, and for
                buffers, those that are trained are taken.
        """
        if self.denoiser.network is not self.network:
            yield
            return
        with torch.inference_mode(False), torch.no_grad():
            network = deepcopy(self.hollow)
            layout = dict(network.named_parameters())
            held = self.network.state_dict() | {name.removeprefix(NETWORK): w for name, w in weights.items()}
            full = {name: complete(w) for name, w in held.items()}
            for name, p in layout.items():
                full[name] = torch.empty_like(p, device=full[name].device).copy_(full[name])
            network.load_state_dict(full, assign=True)
            network.to(next(self.network.parameters()).device).train(self.network.training)
        self.denoiser.network = network
        try:
            yield
        finally:
            self.denoiser.network = self.network


def shards_of(module: LightningModule) -> Shards | None:
    """How a module's network is shared out; None where it is not."""
    return getattr(module, "shards", None)


def complete(w: Tensor) -> Tensor:
    """All of a tensor; where it is shared out, every process must ask."""
    return w.full_tensor() if isinstance(w, DTensor) else w


def local(w: Tensor) -> Tensor:
    """What this process holds of a tensor, in the same memory."""
    if not isinstance(w, DTensor):
        return w
    with torch.no_grad():
        return w.to_local()


def like(whole: Tensor, held: Tensor) -> Tensor:
    """A tensor that every process has, held as another one of its shape: in slices where that one is."""
    if not isinstance(held, DTensor):
        return whole.to(held)
    return distribute_tensor(whole.to(held), held.device_mesh, held.placements, src_data_rank=None)


def collect(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All of them, complete, on the CPU of the first process, which writes; the others must call it and get none."""
    first, found = dist.get_rank() == 0, {}
    for name, w in tensors.items():
        whole = complete(w)
        if first:
            found[name] = whole.cpu()
    return found
