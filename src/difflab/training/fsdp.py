"""trainer=fsdp: the processes of DDP, among which network, averages and optimizer are shared out."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.optim import Optimizer

from difflab.errors import ConfigError
from difflab.losses import ByParts
from difflab.training.module import Diffusion
from difflab.training.sharding import NETWORK, Shards, collect, like


class FullyShard(DDPStrategy):
    """Every process holds a slice of each weight, gradient, average and moment; see `Shards`.

    Batches are shared as under DDP, and checkpoints are those of any other run: complete tensors, written by the first
    process, so that one process can load them. The evaluation at the end, looks on the way and validation give every
    process a whole network with the average. In mixed precision autocast keeps its copies of the weights, of half the
    size, from the forward to the backward pass: the arithmetic is that of DDP.

    Args:
        block: parameters from which on an element of a list of layers is gathered by itself.
    """

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block

    def check(self, trainer: Trainer, module: Diffusion) -> None:
        """Refuse what cannot be trained in slices.

        Raises:
            ConfigError: naming it.
        """
        if trainer.world_size < 2:
            raise ConfigError(
                f"trainer.devices: {trainer.world_size}; trainer=fsdp shares a network out: allowed are two or more"
            )
        network = {id(p) for p in module.denoiser.network.parameters()}
        for name, p in module.named_parameters():
            if p.requires_grad and id(p) not in network:
                field = name.removeprefix("denoiser.").split(".")[0]
                raise ConfigError(
                    f"{field}: {name} is trained beside the network, and trainer=fsdp shares out the network alone; "
                    "allowed is trainer=ddp"
                )
        if isinstance(module.loss, ByParts):
            raise ConfigError(
                f"loss: {type(module.loss).__name__} differentiates the score, and trainer=fsdp lets weights go after "
                "the first derivative; allowed is trainer=ddp"
            )

    def model_to_device(self) -> None:
        """Shared out first: no device ever holds all of the network."""
        module = self.lightning_module
        assert isinstance(module, Diffusion)
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        self.shards = module.shards = Shards(module.denoiser, mesh, self.block)
        super().model_to_device()

    def configure_ddp(self) -> None:
        """There is nothing to wrap: FSDP2 works by hooks."""

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The weights that are trained, on the first process; the others get nothing."""
        assert self.lightning_module is not None
        network = self.shards.network.state_dict()  # also while another one is in its place
        return collect(self.lightning_module.state_dict() | {NETWORK + name: w for name, w in network.items()})

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """As that of an optimizer of one process, on the first; the others get no tensors."""
        state: dict[str, Any] = super().optimizer_state(optimizer)
        return state | {"state": {i: collect(moments) for i, moments in state["state"].items()}}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """From complete tensors, each process takes its slices."""
        sliced = []
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights: list[Tensor] = [p for group in optimizer.param_groups for p in group["params"]]
            moments = {
                i: {name: like(m, weights[i]) if m.shape == weights[i].shape else m for name, m in state.items()}
                for i, state in saved["state"].items()
            }
            sliced.append(saved | {"state": moments})
        super().load_optimizer_state_dict({"optimizer_states": sliced})

    def teardown(self) -> None:
        """The network stays where it is: from its slices the evaluation at the end gathers what it needs."""
        assert self.cluster_environment is not None and self.accelerator is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()
