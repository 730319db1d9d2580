"""The network alone as ONNX, compared with itself in onnxruntime before anybody else sees it."""

import io
import json
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from difflab.condition import Condition
from difflab.errors import ConfigError
from difflab.runs.load import Run

TOLERANCE = 1e-4  # of the largest output, or of 1
LARGEST = 2**31 - 2**24  # bytes of a file of protobuf, with some for the graph


class Differs(RuntimeError):
    """An export that does not compute what the network does."""


class Told(nn.Module):
    """A network with what it can be told as plain arguments, in this order.

    Args:
        network: called as network(x, c_noise, condition).
        names: fields of its condition.
    """

    def __init__(self, network: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, x: Tensor, c_noise: Tensor, *told: Tensor) -> Tensor:
        if not told:
            return self.network(x, c_noise)
        return self.network(x, c_noise, Condition(**dict(zip(self.names, told, strict=True))))


class Onnx:
    """Inputs x [batch, C, H, W], c_noise [batch] and, where the network can be told them, classes, image, x0; output F.

    The batch is of any size. What the numbers mean is in the metadata, as in a .safetensors file: x is noise and image
    scaled by c_in, and F is read by the prediction of the config. Class -1 is a class that is not told.
    """

    suffix = ".onnx"

    def write(self, run: Run, about: Mapping[str, Any], path: Path) -> None:
        denoise = run.parts.denoiser
        bytes_in_all = 4 * sum(p.numel() for p in denoise.network.parameters())
        if not bytes_in_all:
            name = type(denoise.network).__name__
            raise ConfigError(f"format: onnx; {name} has no weights: allowed are runs with a network")
        if bytes_in_all > LARGEST:
            raise ConfigError(f"format: onnx; {bytes_in_all:,} bytes of weights: allowed are 2 GB, or another format")
        onnx, runtime = libraries()
        network = denoise.network.to("cpu", torch.float32).eval()
        kinds, shape = told_by(run), tuple(run.parts.data.shape)
        told = Told(network, list(kinds)).eval()
        exported = graph(told, inputs(2, shape, kinds))
        model = onnx.load_from_string(exported)
        for key, value in about.items():
            model.metadata_props.add(key=key, value=json.dumps(value))
        path.write_bytes(model.SerializeToString())
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for batch in (1, 3):
            compare(session, told, inputs(batch, shape, kinds))


def libraries() -> tuple[Any, Any]:
    """onnx and onnxruntime; with onnxscript, which torch writes with.

    Raises:
        ConfigError: where one is missing.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"format: onnx; {error.name} is missing: pip install 'difflab[interop]'") from error
    return onnx, onnxruntime


def told_by(run: Run) -> dict[str, tuple[int, ...]]:
    """What the network of a run can be told beside x and c_noise: names, and shapes for an example."""
    denoise, (channels, *sides) = run.parts.denoiser, run.parts.data.shape
    image = denoise.conditioning.channels((channels, *sides))
    kinds: dict[str, tuple[int, ...]] = {"classes": ()} if denoise.conditioning.classes else {}
    kinds |= {"image": (image, *sides)} if image else {}
    return kinds | ({"x0": (channels, *sides)} if getattr(denoise.network, "self_condition", False) else {})


def inputs(batch: int, shape: tuple[int, ...], kinds: Mapping[str, tuple[int, ...]]) -> tuple[Tensor, ...]:
    """Numbers to try a network on; every other class is told."""
    draw = torch.Generator().manual_seed(batch)
    told = [
        torch.arange(batch) % 2 - 1 if name == "classes" else torch.randn(batch, *kind, generator=draw)
        for name, kind in kinds.items()
    ]
    return torch.randn(batch, *shape, generator=draw), 7 * torch.arange(1, batch + 1).float(), *told


@torch.no_grad()
def graph(told: Told, example: tuple[Tensor, ...]) -> bytes:
    """The network as ONNX, for any number of examples."""
    batch = {0: torch.export.Dim("batch", min=1)}
    shapes: dict[str, Any] = {"x": batch, "c_noise": batch}
    if told.names:
        shapes["told"] = tuple(batch for _ in told.names)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            told,
            example,
            dynamo=True,
            input_names=["x", "c_noise", *told.names],
            output_names=["output"],
            dynamic_shapes=shapes,
        )
    assert program is not None
    return program.model_proto.SerializeToString()


@torch.no_grad()
def compare(session: Any, told: Told, example: tuple[Tensor, ...]) -> None:
    """Run both on the same numbers.

    Raises:
        Differs: where they do not answer the same.
    """
    names = [entry.name for entry in session.get_inputs()]
    (answer,) = session.run(None, {name: value.numpy() for name, value in zip(names, example, strict=True)})
    expected = told(*example)
    difference = float((torch.from_numpy(answer) - expected).abs().max())
    scale = max(1.0, float(expected.abs().max()))
    if not difference <= TOLERANCE * scale:
        raise Differs(f"onnxruntime answers differently than torch, by {difference:.2g} at outputs of {scale:.2g}")
