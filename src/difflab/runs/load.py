"""A finished run as an object: sampling and scoring with its EMA weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import OmegaConf
from torch import Tensor

from difflab.data import ImageData, Indexed
from difflab.data.torchvision_sets import TorchvisionSet
from difflab.errors import ConfigError
from difflab.evaluation import Evaluation, Examples, Guidance, Scores, Store, conditioned, generate, measure
from difflab.randomness import SampleNoise
from difflab.runs.assemble import Parts, assemble, guidance_of, precision_of, refuse_equations, sampler_of
from difflab.runs.build import build
from difflab.runs.checkpoint import read
from difflab.runs.folder import RunFolder
from difflab.runs.inpainting import inpaint
from difflab.runs.paths import CONFIGS, cache_folder
from difflab.runs.trust import quoted, without_say
from difflab.samplers import Sampler, encode
from difflab.training import Snapshots, label, reconstruct


def option(group: str, name: str, base: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The YAML of an option as a plain config, with some of its values changed, resolved against a run's config.

    Raises:
        ConfigError: for an option that does not exist or a value it does not have.
    """
    known = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"{group}: {name}; allowed are {', '.join(known)}")
    node: Any = OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"), resolve=False)
    for entry in node.pop("defaults", []):  # what the option recommends in other groups
        for key, recommended in entry.items() if isinstance(entry, dict) else ():
            other = key.removeprefix("override /").split("@")[0]
            if other in base:
                base = base | {other: option(other, recommended, base)}
    wrong = sorted(values.keys() - node.keys())
    if wrong:
        raise ConfigError(f"{group}.{wrong[0]}: unknown; allowed are {', '.join(k for k in node if k != '_target_')}")
    whole = OmegaConf.create({**base, group: node | values})
    resolved = OmegaConf.to_container(whole[group], resolve=True)
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


class Run:
    """A run folder with its EMA weights loaded.

    Attributes:
        folder: where it lies.
        config: its resolved config, plain.
        parts: data, denoiser, sampler, likelihood, protocol and extractor of the run.
        step: of the checkpoint.
    """

    def __init__(self, folder: RunFolder, config: dict[str, Any], parts: Parts, step: int) -> None:
        self.folder, self.config, self.parts, self.step = folder, config, parts, step

    def sample(
        self,
        n: int,
        sampler: str | Sampler | None = None,
        steps: int | None = None,
        seed: int | None = None,
        classes: Sequence[int] | None = None,
        guidance: float | Guidance | None = None,
        **values: Any,
    ) -> Tensor:
        """n samples, [n, C, H, W], in the data's own range (-1 to 1); sample i depends on (seed, i) alone.

        Args:
            n: how many.
            sampler: a Sampler, or the name of an option, whose other settings are `values`; None for the run's own.
            steps: network calls a sample; None for the sampler's own.
            seed: None for the run's generation.seed.
            classes: sample i is of class classes[i mod n]; None for classes as frequent as in the data.
            guidance: a scale of classifier-free guidance, or an object that guides; None for the run's own.

        Raises:
            ConfigError: for a sampler that does not fit, and for classes and guidance that the network does not know.
        """
        if n < 1:
            raise ConfigError(f"n: {n}; allowed are whole numbers from 1")
        generation = self.config["generation"]
        seed = generation["seed"] if seed is None else seed
        chosen = sampler if isinstance(sampler, Sampler) else self._sampler(sampler, steps, values)
        parts = self.parts
        refuse_equations(chosen, parts.denoiser)
        measure(chosen, parts.denoiser, parts.data)
        asked = parts.asked(seed, classes, self._guidance(guidance))
        more: dict[str, Any] = {"asked": asked, "precision": precision_of(self.config)}
        return generate(parts.denoiser, chosen, parts.data.shape, n, seed, generation["chunk"], **more).samples

    def _guidance(self, guidance: float | Guidance | None) -> Guidance | None:
        """A guidance, or that of a scale."""
        if not isinstance(guidance, int | float):
            return guidance
        node = option("guidance", "classifier_free", self.config, scale=float(guidance))
        return guidance_of(self.config | {"guidance": node}, self.parts.denoiser)

    @torch.inference_mode()
    def encode(
        self,
        x: Tensor,
        sampler: str | Sampler = "ddim",
        steps: int | None = None,
        labels: Tensor | None = None,
        images: Tensor | None = None,
        **values: Any,
    ) -> Tensor:
        """Codes of images, [N, C, H, W]: what `decode` with the same sampler makes the images of again.

        Args:
            x: in the data's own range, -1 to 1.
            sampler, steps, values: as for `sample`; one that draws no noise on its way. x0 is not clipped unless the
                values say so: clipped steps cannot be undone.
            labels: class numbers, [N], for a network that is told classes.
            images: like x: those that the network is told a part of, where it is told images; None for x itself.

        Raises:
            ConfigError: for a sampler that draws noise, and without labels where the network needs them.
        """
        chosen = sampler if isinstance(sampler, Sampler) else self._sampler(sampler, steps, {"clip": False} | values)
        denoise, chunk = self.parts.denoiser, self.config["generation"]["chunk"]
        told = self._told(x, x if images is None else images, labels)
        pieces = [told.rows(slice(a, a + chunk)) for a in range(0, len(x), chunk)]
        try:
            codes = [encode(chosen, p.seen_by(denoise), denoise.schedule, p.x0.to(denoise.device)) for p in pieces]
            return torch.cat([code.cpu() for code in codes])
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @torch.inference_mode()
    def decode(
        self,
        codes: Tensor,
        sampler: str | Sampler = "ddim",
        steps: int | None = None,
        labels: Tensor | None = None,
        images: Tensor | None = None,
        **values: Any,
    ) -> Tensor:
        """Images of codes, [N, C, H, W], in the data's own range; between two codes lies `difflab.samplers.slerp`.

        Args:
            codes: of `encode`, or standard normal numbers times the schedule's `prior_std`.
            sampler, steps, values: as for `sample`.
            labels: as for `encode`.
            images: as for `encode`; a network that is told images needs them here, for codes are none.

        Raises:
            ConfigError: without labels or images where the network needs them.
        """
        chosen = sampler if isinstance(sampler, Sampler) else self._sampler(sampler, steps, {"clip": False} | values)
        denoise, data = self.parts.denoiser, self.parts.data
        if images is None and denoise.conditioning.channels(data.shape):
            name = type(denoise.conditioning).__name__
            raise ConfigError(f"images: none; allowed are those that condition {name} tells the network a part of")
        told = self._told(codes, codes if images is None else images, labels)
        measure(chosen, denoise, data)
        chunk, seed, made = self.config["generation"]["chunk"], self.config["generation"]["seed"], []
        for first in range(0, len(codes), chunk):
            piece = told.rows(slice(first, first + chunk))
            noise = SampleNoise(seed, range(first, first + len(piece.x0)), codes.shape[1:], denoise.device)
            start = piece.x0.to(denoise.device)
            made.append(chosen.sample(piece.seen_by(denoise), denoise.schedule, noise, start=start).cpu())
        return torch.cat(made)

    def _told(self, x: Tensor, images: Tensor, labels: Tensor | None) -> Examples:
        """States x, or codes, with the condition that is made of images."""
        if images.shape != x.shape:
            raise ConfigError(f"images: shape {tuple(images.shape)}; allowed is {tuple(x.shape)}, one for each row")
        told = conditioned(self.parts.denoiser, self.parts.data, images.cpu().float(), labels, "x")
        return told._replace(x0=x.float())

    def inpaint(
        self,
        x: Tensor,
        mask: Tensor,
        sampler: str | Sampler | None = None,
        steps: int | None = None,
        seed: int | None = None,
        labels: Tensor | None = None,
        jump: int = 10,
        resamplings: int = 10,
        **values: Any,
    ) -> Tensor:
        """Images with the pixels of a mask made anew, [N, C, H, W]; image i depends on x, the mask and (seed, i) alone.

        A network that was trained with condition=inpainting is told the other pixels; any other is sampled by RePaint.

        Args:
            x: in the data's own range, -1 to 1.
            mask: bool, [1, H, W] or [N, 1, H, W]: True where pixels are made.
            sampler, steps, seed, values: as for `sample`.
            labels: class numbers, [N], for a network that is told classes.
            jump, resamplings: of RePaint.

        Raises:
            ConfigError: for shapes, networks and samplers that do not fit.
        """
        chosen = sampler if isinstance(sampler, Sampler) else self._sampler(sampler, steps, values)
        generation = self.config["generation"]
        seed = generation["seed"] if seed is None else seed
        return inpaint(self.parts, x, mask, labels, seed, chosen, jump, resamplings, generation["chunk"])

    def _sampler(self, name: str | None, steps: int | None, values: dict[str, Any]) -> Sampler:
        if steps is not None:
            values["steps"] = steps
        if name is None:
            unknown = sorted(values.keys() - self.config["sampler"].keys())
            if unknown:
                allowed = ", ".join(k for k in self.config["sampler"] if k != "_target_")
                raise ConfigError(f"sampler.{unknown[0]}: unknown; allowed are {allowed}")
            node = self.config["sampler"] | values
        else:
            node = option("sampler", name, self.config, **values)
        return sampler_of(self.config | {"sampler": node}, self.parts.denoiser, self.parts.data)

    def bits_per_dim(
        self,
        x: Tensor,
        likelihood: str = "stratified",
        seed: int = 0,
        labels: Tensor | None = None,
        **values: Any,
    ) -> tuple[float, float]:
        """Mean bits per dimension of images, and its standard error (Monte-Carlo and the choice of images together).

        Args:
            x: [N, C, H, W] on the levels of the data, -1 to 1.
            likelihood: name of an option.
            labels: class numbers, [N], for a network that is told classes: bits given the class.

        Raises:
            ConfigError: without labels where the network was always told the class.
        """
        data = self.parts.data
        if not isinstance(data, ImageData):
            raise ConfigError(
                f"likelihood: {likelihood}; points have no bits per dimension: allowed with data of images"
            )
        node = option("likelihood", likelihood, self.config, **values)
        chosen = build(node, "likelihood", self.config["targets"])
        if x.shape[1:] != torch.Size(data.shape):
            raise ConfigError(f"x: shape {tuple(x.shape)}; allowed are [N, {', '.join(map(str, data.shape))}]")
        measure(chosen, self.parts.denoiser, data)
        told = conditioned(self.parts.denoiser, data, x.cpu().float(), labels, "x")
        return chosen.of(self.parts.denoiser, data, told, seed)

    def evaluate(self, store: Store | None = None, scores: Scores | None = None) -> Evaluation:
        """Every figure of the run's protocol, with the settings in `config`.

        Args:
            store: where chunks of samples are kept until all are there.
            scores: bits per dimension that are known already.
        """
        parts = self.parts
        space = parts.protocol.prepare(
            parts.extractor, parts.data, cache_folder(self.config["cache"]), parts.denoiser.device
        )
        drawing = parts.drawing(self.config, store)
        return parts.protocol.evaluate(parts.denoiser, parts.data, parts.likelihood, drawing, space, scores)


def average(
    folder: RunFolder, ema: dict[str, Any], content: dict[str, Any], names: list[str], length: float
) -> dict[str, Tensor]:
    """The average of a length at a checkpoint: as it was tracked, or made from the snapshots.

    Args:
        folder: of the run.
        ema: its `ema` section.
        content: of the checkpoint.
        names: of the parameters that are trained.
        length: of the average.

    Raises:
        ConfigError: where neither gives it.
    """
    if "lengths" not in ema:
        raise ConfigError(f"ema.length: {length:g}; this run tracked one average; only ema=power has lengths")
    first, *others = (label(tracked) for tracked in ema["lengths"])
    averages = {first: content["state_dict"]} | {key: content["averages"][key] for key in others if names}
    held = {key: {name: tracked[name] for name in names if name in tracked} for key, tracked in averages.items()}
    return reconstruct(Snapshots(folder.path, ema["snapshot_every"]), length, content["global_step"], held)


def data_at_hand(config: Mapping[str, Any]) -> Indexed:
    """The data of a run's config, read: downloads go below the working folder only.

    Raises:
        ConfigError: for files that are missing elsewhere, and whatever the data refuses.
    """
    data = build(config["data"], "data", config["targets"])
    elsewhere = isinstance(data, TorchvisionSet) and not data.folder().resolve().is_relative_to(Path.cwd())
    if elsewhere and data.missing():
        raise ConfigError(
            f"data.root: {quoted(data.root)} of the run's config lacks files of {data.loader}; nothing is downloaded "
            f"to places outside of the working folder that a run's config names: {data.instead(data.missing())}"
        )
    data.cache = cache_folder(config.get("cache"))
    data.setup()
    return data


def load_run(
    path: str | Path,
    checkpoint: str = "last.ckpt",
    targets: list[str] | None = None,
    device: str | None = None,
    ema_length: float | None = None,
    **changes: Any,
) -> Run:
    """The run in a folder, with EMA weights, in evaluation mode.

    Nothing is unpickled, no interpolation is resolved, and of classes only those are made that are allowed (see
    allowed.py, and `targets`). The run's config says which data is read; outside of its folder it says of no file that
    it is written.

    Args:
        path: of the run folder.
        checkpoint: name of the file in checkpoints/.
        targets: modules whose classes the run's config may name too.
        device: None for a GPU where there is one.
        ema_length: of the average, for runs with ema=power: the relative standard deviation of its profile. One that
            is tracked comes from the checkpoint, others are made from the snapshots up to its step; None for the first
            of those that are tracked.
        changes: sections of the config to replace.

    Raises:
        ConfigError: where the folder is no run, or the checkpoint is missing, damaged or not the config's, and for an
            average that neither the checkpoint nor the snapshots give.
    """
    folder = RunFolder.existing("run", path)
    trained = without_say(cast(dict[str, Any], OmegaConf.to_container(folder.read_config("run"))))
    config = trained | {"targets": targets or []} | changes
    content = read(folder.checkpoints / checkpoint, "run")
    parts = assemble(config, trained, data_at_hand(config))
    saved = content["state_dict"]
    if ema_length is not None:
        trained_names = [f"denoiser.{name}" for name, p in parts.denoiser.named_parameters() if p.requires_grad]
        saved = saved | average(folder, trained["ema"], content, trained_names, ema_length)
    weights = {k.removeprefix("denoiser."): v for k, v in saved.items() if k.startswith("denoiser.")}
    try:
        parts.denoiser.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"run: {path}: {str(error).splitlines()[1].strip()}") from error
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    parts.denoiser.to(where).eval().requires_grad_(False)
    return Run(folder, config, parts, content["global_step"])
