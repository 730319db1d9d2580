"""One training run, from a composed config to a run folder with its figures."""

import logging
import sys
from math import prod
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace
from difflab.plots import bound_terms
from difflab.runs.assemble import Parts, assemble, augmentation_of, data_of, precision_of
from difflab.runs.auto import filled
from difflab.runs.build import build
from difflab.runs.checkpoint import read, write_untrained
from difflab.runs.failure import told
from difflab.runs.finished import store_of
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.init import begin_with
from difflab.runs.launcher import other_processes
from difflab.runs.paths import cache_folder
from difflab.runs.refusals import Choices, refuse
from difflab.runs.results import TERMS, by_step, numbers, show, write_terms
from difflab.runs.resume import checkpoint, saved_config
from difflab.runs.settings import typed_targets
from difflab.runs.studies import study_of, study_run, study_sweep
from difflab.runs.trainer import build_trainer, close, loggers, quiet_lightning, training_callbacks
from difflab.training import EMA, Diffusion, FullyShard, Table, Watchdog
from difflab.training.callbacks import Figures
from difflab.training.loggers import TensorBoard, showing

log = logging.getLogger(__name__)
COST = ("model/parameters", "train/steps", "seconds/train", "seconds/looks")  # beside what is evaluated
RECORDED = ("likelihood", "guidance", "sampler", "metrics", "features", "generation", "ema")


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """What `python train.py` does, after the first pass of validation.

    Raises:
        ConfigError: for whatever a constructor, the data or a checkpoint refuses, before any work.
    """
    quiet_lightning()
    if cfg.replay is not None:
        from difflab.runs.replay import replay  # it imports this module

        return replay(cfg, folder)
    overrides = list(HydraConfig.get().overrides.task)
    start = None
    if cfg.resume is not None:
        cfg = saved_config(folder, cfg, overrides)
        start, complaints = checkpoint(folder)
        for complaint in complaints:
            log.warning("%s; going back to %s", complaint, start)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    data, choices = data_of(config), dict(HydraConfig.get().runtime.choices)
    log.info("data\n%s", data.describe())
    config = filled(config, data, cache_folder(config["cache"]), overrides, choices)
    parts = assemble(config, data=data)
    study = study_of(config)
    if study is not None:
        study.check(parts, config)
    watchdog = watchdog_of(config)
    module = diffusion(config, parts, watchdog)
    if start is not None:
        check_fits(start, module)
    elif config.get("init") is not None:
        begin_with(config["init"], parts.denoiser)
    images = parts.data.batch_size * config["trainer"]["accumulate_grad_batches"]  # of one optimizer step
    ema = build(config["ema"], "ema", config["targets"], images=images, folder=folder.path)
    figures = Figures(config["trainer"]["log_every_n_steps"], config["data"]["batch_size"])
    callbacks = [watchdog, *training_callbacks(config, parts, folder, ema, figures)]
    trainer = build_trainer(config, parts.data, callbacks, folder)
    if isinstance(trainer.strategy, FullyShard):
        trainer.strategy.check(trainer, module)
    device = trainer.strategy.root_device
    space = parts.protocol.prepare(parts.extractor, parts.data, cache_folder(config["cache"]), device)
    if trainer.is_global_zero:
        run_itself = {key: value for key, value in config.items() if key not in ("sweep", "replay")}
        folder.describe(OmegaConf.create(run_itself), overrides)  # from here on nothing is refused
    folder.checkpoints.mkdir(exist_ok=True)
    trainer.loggers = loggers(config, folder)
    try:
        with other_processes(trainer, folder):
            for logger in trainer.loggers:
                saved = read(start, "resume") if start else {"global_step": 0}
                if isinstance(logger, Table):
                    logger.rewind(saved["global_step"], saved.get("metrics.csv"))
                elif isinstance(logger, TensorBoard):
                    logger.rewind(saved["global_step"])
            if parts.denoiser.trainable:
                with told(folder, parts.data, trainer, config["seed"]):
                    trainer.fit(module, datamodule=parts.data, ckpt_path=start, weights_only=True)
            elif trainer.is_global_zero:
                write_untrained(folder.checkpoints / "last.ckpt", module)
            if trainer.is_global_zero:
                what = f"trained {trainer.global_step} steps" if parts.denoiser.trainable else "nothing to train"
                print(f"{what}; evaluating")
                log.info("trained %d steps", trainer.global_step)
            finish(config, parts, space, module, trainer, ema, figures, folder)
            hydra = HydraConfig.get()
            of_many = study is not None and study.of_sweep and hydra.mode == RunMode.MULTIRUN
            if study is not None and not of_many and trainer.is_global_zero:
                if torch.distributed.is_initialized():  # the other processes have nothing more to do
                    torch.distributed.destroy_process_group()
                found = study_run(study, config, folder)
                for logger in trainer.loggers:
                    logger.log_metrics(found, trainer.global_step)
    finally:
        close(trainer.loggers)


def of_sweep(jobs: list[Path], sweep: Path) -> None:
    """The studies of a sweep, of its jobs that ended well."""
    try:
        study_sweep(jobs, sweep, typed_targets(sys.argv[1:]))
    except ConfigError as error:  # the jobs were done, and are not refused for it
        sys.exit(f"error: {error}")


def watchdog_of(config: dict[str, Any], at_once: bool = False) -> Watchdog:
    """The watchdog of a config; runs of earlier versions have none that is their own."""
    watch = config.get("watchdog") or {"loss_bound": None, "skip": 0}
    return Watchdog(watch["loss_bound"], watch["skip"], at_once)


def diffusion(config: dict[str, Any], parts: Parts, watchdog: Watchdog) -> Diffusion:
    """The LightningModule."""
    more = config["targets"]
    denoise, data = parts.denoiser, parts.data
    asked = what_losses_ask(data)
    asked["sigma_data"] = getattr(denoise.parameterisation, "sigma_data", data.sigma_data)  # which may be said there
    loss = build(config["loss"], "loss", more, **asked)
    times = build(config["times"], "times", more, loss=loss, denoise=denoise, schedule=denoise.schedule)
    augmentation = augmentation_of(config)
    refuse(
        Choices(
            denoise.schedule,
            denoise.parameterisation,
            parts.variance,
            loss,
            times,
            levels=data.levels,
            augmentation=augmentation,
        )
    )
    optim = build(config["optim"], "optim", more)
    if config.get("compile"):  # which runs of earlier versions do not say
        denoise.network.compile()
    return Diffusion(denoise, loss, times, optim, data.scaling, config["seed"], watchdog, augmentation)


def what_losses_ask(data: Indexed) -> dict[str, Any]:
    """What a loss may want to know of the data."""
    return {
        "levels": data.levels,
        "sigma_data": data.sigma_data,
        "dimensions": prod(data.shape),
        "distribution": data.distribution,
    }


def check_fits(path: Path, module: Diffusion) -> None:
    """Refuse a checkpoint whose weights are not this module's.

    Raises:
        ConfigError: naming the first weight that differs.
    """
    content = read(path, "resume")
    if "optimizer_states" not in content and any(p.requires_grad for p in module.parameters()):
        raise ConfigError(f"resume: {path} holds weights that were not trained here; allowed is init= their run folder")
    saved, own = content["state_dict"], module.state_dict()
    shapes = {name: tuple(w.shape) for name, w in saved.items()}
    for name, w in own.items():
        if shapes.get(name) != tuple(w.shape):
            raise ConfigError(
                f"resume: {path} has {name} of shape {shapes.get(name)}; the model needs {tuple(w.shape)}"
            )


def finish(
    config: dict[str, Any],
    parts: Parts,
    space: FeatureSpace | None,
    module: Diffusion,
    trainer: Trainer,
    ema: EMA,
    figures: Figures,
    folder: RunFolder,
) -> None:
    """The final evaluation on EMA weights, written down and shown.

    Raises:
        RuntimeError: for samples that are not finite: the run was trained, and is not refused for them.
    """
    module.to(trainer.strategy.root_device)
    generation = config["generation"]
    with ema.averaged(module):
        store = None
        if space is not None:
            precision = precision_of(config)
            store = store_of(folder, config, parts, generation["seed"], generation["chunk"], precision=precision)
        drawing = parts.drawing(config, store)
        try:
            evaluation = parts.protocol.evaluate(parts.denoiser, parts.data, parts.likelihood, drawing, space)
        except ConfigError as error:
            raise RuntimeError(str(error)) from None
    if not trainer.is_global_zero:
        return
    result = {
        **evaluation.figures,
        **(figures.totals() if parts.denoiser.trainable else {}),
        "train/steps": trainer.global_step,
        "model/parameters": sum(p.numel() for p in parts.denoiser.parameters()),
        "seed": config["seed"],
    }
    write_json(folder.metrics, result)
    folder.record({"settings": {section: config.get(section) for section in RECORDED}} | result)
    if store is not None:
        store.clear()
    cost = {key: result[key] for key in COST if key in result}
    for logger in trainer.loggers:
        logger.log_metrics(evaluation.figures | cost, trainer.global_step)
    step, shown = trainer.global_step, showing(trainer)
    grid = None
    for stem, draw in evaluation.pictures.items():
        path = folder.samples / f"{f'step_{step:06d}' if stem == 'samples' else stem}.png"
        draw(path)
        grid = path if stem == "samples" else grid
        for logger in shown:
            logger.picture(f"samples/{'grid' if stem == 'samples' else stem}", path, step)
    if evaluation.terms:
        write_terms(evaluation.terms, folder.path / "bound_terms.csv")
        terms, drawing = next(iter(evaluation.terms.values())), folder.path / "bound_terms.png"
        bound_terms(terms, drawing)
        for logger in shown:
            logger.line("likelihood/terms", TERMS, by_step(terms), step, "bits/dim of a step of the chain")
    for logger in shown:
        logger.table("summary/final", ("figure", "value", "standard error", "key"), numbers(result), step)
        if parts.denoiser.trainable:
            logger.keep(folder.checkpoints / "last.ckpt", ["last", f"step-{step}"])
            if (folder.checkpoints / "best.ckpt").is_file():
                logger.keep(folder.checkpoints / "best.ckpt", ["best"])
    show(result, folder.path, grid)
