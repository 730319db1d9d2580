"""The page that goes with an exported pipeline: what it is, how to use it, how good it is, on whose data."""

from collections.abc import Iterator, Mapping
from typing import Any

from difflab.process import Learned
from difflab.runs.load import Run
from difflab.runs.trust import read_json

SECTIONS = ("data", "model", "schedule", "warp", "prediction", "variance", "condition")
TRAINING = ("loss", "ema", "optim")
FRONT = """---
library_name: diffusers
tags:
- diffusers
- difflab
---
"""


def model_card(run: Run, about: Mapping[str, Any]) -> str:
    """README.md in Markdown."""
    data = run.parts.data
    made = f"trained with difflab on {type(data).__name__}; averaged weights of step {run.step:,}"
    made = made if run.step else f"imported into difflab as a model of {type(data).__name__}"
    sections = SECTIONS + (TRAINING if run.step else ())
    return "\n".join(
        [
            FRONT,
            f"# {run.config['name']}",
            "",
            f"A diffusion model of images of shape {'x'.join(map(str, data.shape))}, {made}.",
            "",
            "## Use",
            "",
            *use(run),
            "",
            "## Figures",
            "",
            *figures(run),
            "",
            "## Data",
            "",
            f"Licence of the training data: {data.licence}.",
            "",
            "## Settings",
            "",
            "| setting | value |",
            "|---|---|",
            *(f"| {name} | {value} |" for section in sections for name, value in settings(section, run.config)),
            *(f"| {name} | {about[name]} |" for name in ("checkpoint", "step", "ema_length")),
            "",
        ]
    )


def use(run: Run) -> Iterator[str]:
    """How diffusers loads it, and what to know of it there."""
    yield "```python"
    yield "from diffusers import DDIMPipeline, DDPMPipeline"
    yield ""
    yield 'images = DDPMPipeline.from_pretrained("FOLDER")(batch_size=4).images'
    yield 'ddim = DDIMPipeline.from_pretrained("FOLDER")'
    yield "images = ddim(num_inference_steps=50, use_clipped_model_output=True).images"
    yield "```"
    yield ""
    yield "`use_clipped_model_output` has eps follow the clipped x0, as difflab's own sampler does."
    if run.parts.denoiser.conditioning.classes:
        yield ""
        yield "The network is told a class, which these pipelines do not pass on: call"
        yield "`pipe.unet(x, t, class_labels=...)` and `pipe.scheduler.step` in a loop of your own."
    if isinstance(run.parts.variance, Learned):
        yield ""
        yield "The network says the variance too, which `DDIMPipeline` does not know: use `DDPMPipeline`."


def figures(run: Run) -> Iterator[str]:
    """The final figures of the run, where it has any."""
    file = run.folder.metrics
    found = read_json(file, "run") if file.is_file() else {}
    numbers = {key: value for key, value in found.items() if isinstance(value, int | float)}
    if not numbers:
        yield "None were computed."
        return
    yield "| figure | value |"
    yield "|---|---|"
    for key, value in numbers.items():
        yield f"| {key} | {value:.6g} |"


def settings(name: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The values of a section, by dotted names; folders of somebody's disk are left out."""
    node = config.get(name) or {}
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict):
            yield from settings(f"{name}.{key}", {f"{name}.{key}": value})
        elif key != "root":
            yield f"{name}.{key}".removesuffix("._target_"), str(value).replace("|", "\\|").replace("\n", " ")
