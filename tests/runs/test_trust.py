"""A run folder from a stranger: nothing in it runs code, reads the environment or writes elsewhere; it says why."""

import io
import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from difflab import load_run
from difflab.errors import ConfigError
from difflab.runs.allowed import allowed
from difflab.runs.build import build
from difflab.runs.folder import RunFolder
from difflab.runs.settings import with_choices
from difflab.runs.trust import DEEPEST, LARGEST, without_say

sys.path.insert(0, str(Path(__file__).parent))
from children import importable, run_folder, script, train

SECRET = "hunter2"
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 40))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Path:
    """A run of three steps."""
    folder = tmp_path_factory.mktemp("stranger")
    code, text = train("trainer.max_steps=3", folder=folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.fixture
def copy(stranger, tmp_path) -> Path:
    """Its folder, to spoil."""
    return shutil.copytree(stranger, tmp_path / "run")


@pytest.fixture
def text() -> str:
    """A config as runs write it, of the sections that every command asks for."""
    sections = ("data", "model", "schedule", "prediction", "sampler", "likelihood", "metrics", "features", "generation")
    return OmegaConf.to_yaml({"seed": 0, "name": "test", "decoder": {}} | {section: {"x": 1} for section in sections})


def refused(folder: Path) -> str:
    """The reason for which a config is refused: one line, which does not tell what the environment holds."""
    with pytest.raises(ConfigError) as refusal:
        RunFolder.existing("run", folder).read_config("run")
    message = str(refusal.value)
    assert message.startswith("run: ") and message.isprintable() and SECRET not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("name: ${oc.env:PASSWORD}", r"\$\{oc.env:PASSWORD\}', whose interpolation could read the environment"),
        (r'name: "\x24{oc.env:PASSWORD}"', "interpolation"),
        (r'name: "\u0024{oc.env:PASSWORD}"', "interpolation"),
        (r'name: "$\x7boc.env:PASSWORD}"', "interpolation"),
        ("name: >-\n  ${oc.env:PASSWORD}", "interpolation"),
        ("name: |\n  a\n  ${oc.env:PASSWORD}", "interpolation"),
        ("name: '$\n\n  {oc.env:PASSWORD}'", None),
        ("name: [[{a: 'b ${oc.env:PASSWORD}'}]]", "interpolation"),
        ('"${oc.env:PASSWORD}": 1', "interpolation"),
        (r'"\x24{oc.env:PASSWORD}": 1', "interpolation"),
        ("name: ${seed}", "interpolation"),
        ("name: \\${oc.env:PASSWORD}", "interpolation"),
        ("name: ???", "missing"),
        ("base: &base {a: 1}\nname: *base", "an anchor or an alias"),
        ("base: &base {a: 1}\nname:\n  <<: *base", "an anchor or an alias"),
        (LAUGHS, "an anchor or an alias"),
        ("name: !!python/object/apply:os.system ['touch trap']", "the tag 'tag:yaml.org,2002:python/object/apply:os.s"),
        ("name: !!python/name:os.system", "the tag"),
        ("name: !!python/object/apply:pathlib.Path [a]", "the tag"),
        ("name: !!binary aGVsbG8=", "the tag"),
        ("name: ! x", "the tag"),
        (f"name: {'[' * 5000}{']' * 5000}", f"more than {DEEPEST} sections within each other"),
        ("name: " + "{a: " * 5000, f"more than {DEEPEST} sections within each other"),
        (f"name: {'x' * LARGEST}", f"has more than {LARGEST:,} bytes"),
        (f"name: {'1' * 5000}", "cannot be read"),
        ("1: 2", "no sections with names"),
        ("null: 2", "cannot be read"),
        ("name: {true: 2}", "no sections with names"),
        ("name: a\nname: b", "cannot be read"),
        ("name: [", "cannot be read"),
        ("---\nname: a", "cannot be read"),
        ("name: a\x00b", "cannot be read"),
        ("name: a\x1b[31mb", "cannot be read"),
        (r'name: "a\e[31mb"', "control characters in"),
        (r'"a\e[31mb": 1', "control characters in"),
        ("model: 5", "has no section model"),
        ("model: null", "has no section model"),
        ("seed: zero", "has no seed"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_config_says_plain_values_only(attack, reason, text, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)
    own = {line.split(":")[0] for line in attack.splitlines() if not line.startswith((" ", "-"))}
    kept = OmegaConf.to_yaml({key: value for key, value in OmegaConf.create(text).items() if key not in own})
    (tmp_path / "config.yaml").write_text(f"{kept}{attack}\n")
    if reason is None:  # text that only looks like one
        assert SECRET not in str(RunFolder(tmp_path).read_config("run"))
    else:
        message = refused(tmp_path)
        assert re.search(reason, message), message
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("content", [b"", b"- a\n", b"text", b"\xff\xfe\x00", b"{}"])
def test_what_is_no_config_is_refused(content, tmp_path):
    (tmp_path / "config.yaml").write_bytes(content)
    refused(tmp_path)


def test_the_config_of_a_run_is_read_as_it_was_written(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    config = RunFolder.existing("run", tmp_path).read_config("run")
    assert OmegaConf.to_container(config) == OmegaConf.to_container(OmegaConf.create(text))


def link(name: str, to: str) -> Callable[[Path], None]:
    return lambda run: (run / name).symlink_to(to)


def pipe(run: Path) -> None:
    os.mkfifo(run / "evaluations.jsonl")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (link("samples", "/tmp"), "leads out of the run folder"),
        (link("evaluations.jsonl", "../outside"), "leads out of the run folder"),
        (link("up", ".."), "leads out of the run folder"),
        (pipe, "neither file nor folder"),
    ],
)
def test_links_out_of_the_folder_are_refused(spoil, reason, text, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(text)
    link("inside", "config.yaml")(run)
    RunFolder.existing("run", run)
    spoil(run)
    with pytest.raises(ConfigError, match=reason):
        RunFolder.existing("run", run)


@pytest.mark.parametrize(
    "choice",
    ["ddim,heun", "../../../etc/x", "${oc.env:PASSWORD}", "'ddim hydra.run.dir=/tmp'", "[ddim]", "{a: 1}", "null", "5"],
)
def test_choices_that_are_no_options_do_not_reach_the_command_line(choice, text, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", SECRET)
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / ".hydra").mkdir()
    file = tmp_path / ".hydra" / "hydra.yaml"
    arguments = [f"run={tmp_path}", "sampler.steps=3"]
    file.write_text("hydra:\n  runtime:\n    choices:\n      sampler: heun\n  job: {name: '${oc.env:PASSWORD}'}\n")
    assert "sampler=heun" in with_choices("sample", arguments)
    file.write_text(f"hydra:\n  runtime:\n    choices:\n      sampler: {choice}\n")
    with pytest.raises(
        ConfigError, match=r"sampler: .* is no option of configs/sampler; .* allowed are ancest"
    ) as said:
        with_choices("sample", arguments)
    assert SECRET not in str(said.value)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("os.system", "allowed are"),
        ("builtins.eval", "allowed are"),
        ("subprocess.Popen", "allowed are"),
        ("hydra.utils.instantiate", "allowed are"),
        ("hydra.utils.get_method", "allowed are"),
        ("hydra._internal.utils._locate", "allowed are"),
        ("difflab.data.picture_files.os.system", "is not there"),
        ("difflab.features.weights.hashlib.file_digest", "is not there"),
        ("difflab.models.mlp.prod", r"is defined elsewhere \(math\)"),
        ("difflab.models.mlp.nn", "is defined elsewhere"),
        ("difflab.data.picture_files.ThreadPoolExecutor", "is defined elsewhere"),
        ("difflab.features.weights.FileLock", "is defined elsewhere"),
        ("difflab.features.weights.download", "is a function that no option names"),
        ("difflab.features.weights.obtain", "is a function that no option names"),
        ("difflab.studies.sampler_errors.main", "is a function that no option names"),
        ("difflab.training.wandb_logger", "belongs to ema, optim, logger, trainer alone"),
        ("difflab.training.Snapshots", "belongs to ema, optim, logger, trainer alone"),
        ("difflab.data.ImageFolder", "belongs to data, augmentation alone"),
        ("difflab.runs.load.load_run", "allowed are"),
        ("difflab.runs.folder.RunFolder", "allowed are"),
        ("difflab.models.UNet.load_state_dict", "is not there"),
        ("difflab.models..UNet", "is not there"),
        ("difflab.models.UNet\nX", r"'difflab.models.UNet\\nX'; allowed are"),
        ("torch.load", "allowed are"),
        ("torch.hub.load", "allowed are"),
        ("torch.jit.load", "allowed are"),
        ("torch.nn.functional.silu", "is no class"),
        ("torch.nn.modules.module.torch", "is defined elsewhere"),
        ("torch.nn.Module.load_state_dict", "is not there"),
        ("torch.nn.Parameter", "is none of torch.nn.Module"),
        ("torch.jit.ScriptModule", "allowed are"),
        ("torchvision.models.feature_extraction.DualGraphModule", "is none of torch.nn.Module"),
        ("torchvision.models.get_model", "is no class"),
        ("torchvision.datasets.CIFAR10", "allowed are"),
        ("torchmetrics.image.fid.FrechetInceptionDistance", "allowed are"),
        ("torchmetrics.text.bert.BERTScore", "allowed are"),
        ("lightning.pytorch.LightningModule", "is defined elsewhere"),
        ("lightning.pytorch.LightningModule.load_from_checkpoint", "allowed are"),
        ("lightning.pytorch.Trainer", "belongs to trainer alone"),
        ("lightning.pytorch.loggers.WandbLogger", "belongs to logger, trainer alone"),
        ("lightning.pytorch.strategies.launchers.subprocess_script._basic_subprocess_cmd", "is defined elsewhere"),
        ("lightning.pytorch.cli.LightningCLI", "allowed are"),
        (["os.system"], "allowed are"),
        (None, "None; allowed are"),
    ],
    ids=str,
)
def test_targets_that_are_refused(target, reason):
    with pytest.raises(ConfigError, match=rf"^model\._target_: .*{reason}") as refusal:
        allowed(target, "model")
    assert "\n" not in str(refusal.value) and "targets=[MODULE]" in str(refusal.value)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("difflab.models.UNet", "model"),
        ("difflab.models.unet.UNet", "model"),
        ("difflab.training.constant_ema", "ema"),
        ("torch.nn.Identity", "features.extractor"),
        ("torch.optim.SGD", "optim"),
        ("torch.optim.lr_scheduler.StepLR", "optim.schedule"),
        ("torchmetrics.MeanMetric", "metrics"),
        ("torchmetrics.classification.BinaryAccuracy", "metrics"),
        ("torchvision.models.VisionTransformer", "features.extractor"),
        ("torchvision.transforms.v2.Resize", "features.extractor"),
        ("lightning.pytorch.Trainer", "trainer"),
        ("lightning.pytorch.profilers.SimpleProfiler", "trainer.profiler"),
        ("lightning.pytorch.strategies.DDPStrategy", "trainer.strategy"),
        ("lightning.pytorch.loggers.CSVLogger", "logger"),
    ],
)
def test_targets_that_are_let_in(target, field):
    assert allowed(target, field).__name__ == target.rpartition(".")[2]


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.system", "command": "touch trap"}]},
        {"_target_": "torch.nn.Sequential", "_args_": [[{"a": {"_target_": "os.system"}}]]},
        {"_target_": "torch.nn.Linear", "in_features": {"_target_": "os.system", "_partial_": True}},
        {"_target_": "torch.nn.Linear", "in_features": {"_target_": None}},
        {"_target_": "torch.nn.Linear", "_recursive_": False, "in_features": {"_target_": "os.system"}},
    ],
)
def test_targets_within_are_refused_too(node, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^model\..*_target_: (os\.system|None); allowed are"):
        build(node, "model")
    assert not (tmp_path / "trap").exists()


def test_a_path_is_never_the_configs_to_give(tmp_path):
    node = {"_target_": "difflab.training.tensorboard_logger", "folder": "/somewhere/else"}
    with pytest.raises(ConfigError, match=r"^logger\.folder: /somewhere/else; allowed is nothing"):
        build(node, "logger", folder=tmp_path)


def test_what_is_for_the_user_to_say_is_not_the_folders():
    config = {"targets": ["os"], "cache": "/elsewhere", "features": {"checked": False, "batch": 1}, "seed": 1}
    expected = {"targets": [], "cache": None, "features": {"checked": True, "batch": 1}, "seed": 1}
    assert without_say(config) == expected


class Trap:
    """Unpickled it leaves a file behind."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("trap",)


def with_payload(run: Path) -> None:
    """Every checkpoint is a pickle that acts."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = torch.load(path, weights_only=True)
        torch.save(content | {"hyper_parameters": Trap()}, path)


def with_bare_pickle(run: Path) -> None:
    for path in (run / "checkpoints").glob("*.ckpt"):
        path.write_bytes(pickle.dumps(Trap()))


def with_bomb(run: Path) -> None:
    """Every checkpoint unpacks to much more than it is."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = io.BytesIO()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.infolist():
                new.writestr(entry.filename, old.read(entry))
        path.write_bytes(content.getvalue())


def saying(old: str, new: str) -> Callable[[Path], None]:
    """The config with something else in it."""

    def change(run: Path) -> None:
        config = (run / "config.yaml").read_text()
        assert old in config
        (run / "config.yaml").write_text(config.replace(old, new, 1))

    return change


ATTACKS = {
    "payload": (with_payload, "unpickling it could run code: refused"),
    "bare pickle": (with_bare_pickle, "is damaged"),
    "bomb": (with_bomb, "is damaged"),
    "target": (saying("difflab.models.MLP\n", "os.mkdir\n  path: trap\n"), "model._target_: os.mkdir; allowed are"),
    "alias": (saying("difflab.models.StepIndex", "difflab.data.picture_files.os.getcwd"), "is not there"),
    "own module": (saying("targets: []\n", "targets:\n- os\n- posix\n"), None),
    "environment": (saying("name: test", 'name: "\\x24{oc.env:PASSWORD}"'), "interpolation could read the environment"),
}


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_command_runs_what_a_stranger_has_put_in_a_folder(attack, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)
    spoil, reason = ATTACKS[attack]
    spoil(copy)
    if reason is None:
        saying("difflab.models.MLP\n", "posix.mkdir\n  path: trap\n")(copy)
        reason = "model._target_: posix.mkdir; allowed are"
    with pytest.raises(ConfigError) as refusal:
        load_run(copy)
    assert reason in str(refusal.value)
    for command, arguments in (("sample", [f"run={copy}", "n=2"]), ("train", [f"resume={copy}"])):
        code, text = script(command, arguments, tmp_path)
        assert code == 2 and reason in text, text
        assert "Traceback" not in text and SECRET not in text
    assert not list(tmp_path.rglob("trap"))


@pytest.mark.slow
def test_whoever_resumes_lets_classes_in_anew(copy, tmp_path):
    """The folder's own word does not count, that on the command line does."""
    (tmp_path / "own_network.py").write_text("from difflab.models import MLP\n\n\nclass Own(MLP):\n    pass\n")
    saying("targets: []\n", "targets:\n- own_network\n")(copy)
    saying("difflab.models.MLP\n", "own_network.Own\n")(copy)
    prepare = partial(importable, tmp_path)
    resume = [f"resume={copy}", "trainer.max_steps=4"]
    code, text = script("train", resume, tmp_path, prepare=prepare)
    assert code == 2 and "model._target_: own_network.Own; allowed are" in text
    code, text = script("train", [*resume, "targets=[own_network]"], tmp_path, prepare=prepare)
    assert code == 0, text


@pytest.mark.slow
def test_a_strangers_config_writes_nothing_elsewhere(copy, tmp_path):
    """Kept features go where the user's go, and no data is downloaded to a place that the config names."""
    elsewhere = tmp_path / "elsewhere"
    saying("cache: null\n", f"cache: {elsewhere}\n")(copy)
    assert load_run(copy).config["cache"] is None
    saying("difflab.data.Digits", "difflab.data.MNIST")(copy)
    saying("root: data", f"root: {elsewhere}")(copy)
    with pytest.raises(ConfigError, match=r"data\.root: .* nothing is downloaded"):
        load_run(copy)
    assert not elsewhere.exists()
