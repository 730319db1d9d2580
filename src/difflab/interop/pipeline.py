"""A folder that diffusers loads: `DDPMPipeline.from_pretrained(FOLDER)`, or `DDIMPipeline`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from difflab.errors import ConfigError
from difflab.interop import scheduler, unet2d
from difflab.interop.diffusers import diffusers_weights
from difflab.interop.model_card import model_card
from difflab.interop.weight_files import WEIGHTS
from difflab.models import UNet
from difflab.runs.load import Run

VERSION = "0.33.0"  # whose configs these are
INDEX = {
    "_class_name": "DDPMPipeline",
    "_diffusers_version": VERSION,
    "scheduler": ["diffusers", "DDPMScheduler"],
    "unet": ["diffusers", "UNet2DModel"],
}


class Pipeline:
    """Network, scheduler and model card, as diffusers saves a pipeline; diffusers itself is not needed to write it."""

    suffix = ""

    def write(self, run: Run, about: Mapping[str, Any], path: Path) -> None:
        parts, model = run.parts, run.config["model"]
        network = parts.denoiser.network
        c_noise = model["c_noise"]["_target_"].rpartition(".")[2]
        if not isinstance(network, UNet):
            raise ConfigError(f"format: diffusers; model {type(network).__name__} is no UNet2DModel: allowed is UNet")
        if c_noise != "StepIndex" and not (c_noise == "ScaledIndex" and parts.denoiser.schedule.T == 1000):
            raise ConfigError(
                f"format: diffusers; c_noise {c_noise}: its pipelines tell the network the index of the step alone: "
                "allowed is step_index"
            )
        noise = scheduler.config_of(parts.denoiser, parts.variance, parts.sampler)
        unet = unet2d.config_of(network, model, parts.data.shape) | {"_diffusers_version": VERSION}
        for folder, name, config in (
            ("", "model_index.json", INDEX),
            ("scheduler", "scheduler_config.json", noise | {"_diffusers_version": VERSION}),
            ("unet", "config.json", unet),
        ):
            (path / folder).mkdir(parents=True, exist_ok=True)
            (path / folder / name).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        save_file(diffusers_weights(network), path / "unet" / f"{WEIGHTS}.safetensors", {"format": "pt"})
        (path / "README.md").write_text(model_card(run, about))
