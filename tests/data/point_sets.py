"""Sets of points from their YAMLs with fields changed, composed once."""

from typing import Any

from omegaconf import OmegaConf

from difflab.data import PointData
from difflab.runs.build import build
from tests.conftest import composed


def point_set(name: str, **changes: Any) -> PointData:
    """The object of configs/data/NAME.yaml, fields changed."""
    node = OmegaConf.to_container(composed(f"data={name}").data, resolve=True)
    assert isinstance(node, dict)
    return build({str(field): value for field, value in node.items()} | changes, "data")
