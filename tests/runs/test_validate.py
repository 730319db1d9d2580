"""The first pass over a config: what is let through, what is refused and in which words, and that no field is free."""

import os
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.errors import ConfigError
from difflab.runs.composition import explained
from difflab.runs.kinds import Range
from difflab.runs.paths import CONFIGS
from difflab.runs.ranges import FREE, RANGES
from difflab.runs.validate import flatten, is_section, validate

sys.path.insert(0, str(Path(__file__).parent))
from children import REPOSITORY, shell

VALUE = re.compile(r"(\w+(\.\w+)+|name|seed|outputs|resume|replay|tags|targets|cache|n|run|runs|devices)=")


@cache
def composed(config: str, *overrides: str) -> DictConfig:
    """What options and additions compose to."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(config, list(overrides), return_hydra_config=True)


def checked(*overrides: str, config: str = "train") -> None:
    """The first pass of `python train.py OVERRIDES`; what Hydra refuses before is refused in its place.

    Values are put into what the options compose to by the function by which Hydra does it, to compose once for many.
    """
    arguments = ["name=test", *overrides] if config == "train" else list(overrides)
    values = [argument for argument in arguments if VALUE.match(argument)]
    try:
        cfg = deepcopy(composed(config, *(argument for argument in arguments if argument not in values)))
        ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(values), cfg)
    except Exception as error:
        reason = explained(error, config, arguments)
        assert reason is not None, error
        raise ConfigError(reason) from error
    choices: Any = OmegaConf.to_container(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg.hydra
    validate(cfg, config, choices)


@pytest.mark.parametrize(
    "override",
    [
        "optim.lr=1",
        "trainer.gradient_clip_val=null",
        "trainer.gradient_clip_val=0",
        "trainer.devices=auto",
        "trainer.devices=[0,1]",
        "trainer.devices=-1",
        "trainer.fast_dev_run=3",
        "trainer.max_epochs=2",
        "trainer.max_time=00:01:00:00",
        "trainer.max_time={hours:1,minutes:30}",
        "trainer.limit_val_batches=0",
        "trainer.limit_train_batches=0.5",
        "trainer.limit_train_batches=7",
        "trainer.deterministic=warn",
        "trainer.profiler=simple",
        "+trainer.default_root_dir=elsewhere",
        "sampler.steps=null",
        "sampler.steps=1000",
        "metrics.every=null",
        "metrics.images=null",
        "model.attention=[]",
        "schedule.T=21 sampler.steps=21",
        "schedule=cosine schedule.T=2 sampler.steps=2",
        "tags=[a,b]",
        "targets=[own.models,more]",
        "cache=elsewhere",
        "logger=wandb logger.mode=disabled",
        "seed=9223372036854775807",
        "trainer=ddp trainer.devices=4",
        "trainer.devices=2 trainer.num_nodes=4",
        "sampler=heun sampler.churn_max=50.0",
        "watchdog.loss_bound=100",
        "~metrics.distances.memorisation",
        "experiment=digits_long model.channels=16",
    ],
)
def test_what_can_run_is_let_through(override):
    checked(*override.split())


# What is typed, and what is said about it.
BAD = [
    # types
    ("optim.lr=abc", r"optim\.lr: abc; allowed are numbers, such as 0\.003"),
    ("optim.lr=true", r"optim\.lr: true; allowed are numbers"),
    ("optim.lr=null", r"optim\.lr: null; allowed are numbers"),
    ("optim.lr=[1]", r"optim\.lr: \[1\]; allowed are numbers"),
    ("seed=1e3", r"seed: 1000\.0; allowed are whole numbers, such as 0"),
    ("seed=true", r"seed: true; allowed are whole numbers"),
    ("data.seed=true", r"data\.seed: true; allowed are whole numbers from 0 to 2\^63 - 1"),
    ("data.flip=1", r"data\.flip: 1; allowed are true or false"),
    ("data.flip=yes", r"data\.flip: yes; allowed are true or false"),
    ("data.root=5", r"data\.root: 5; allowed are text, such as data"),
    ("outputs=null", r"outputs: null; allowed are text, such as outputs"),
    ("schedule.T=2.0", r"schedule\.T: 2\.0; allowed are whole numbers, such as 1000"),
    ("schedule.T=null", r"schedule\.T: null; allowed are whole numbers"),
    ("tags=5", r"tags: 5; allowed are lists"),
    ("tags=[1,2]", r"tags: \[1, 2\]; allowed are a list of texts"),
    ("tags=[null]", r"tags: \[None\]; allowed are a list of texts"),
    ("targets=own", r"targets: own; allowed are lists"),
    ("targets=[own/models]", r"targets: \['own/models'\]; allowed are a list of modules, such as \[own_models\]"),
    ("model.multipliers=1", r"model\.multipliers: 1; allowed are lists of whole numbers, such as \[1, 2\]"),
    ("model.multipliers=[1,null]", r"model\.multipliers: \[1, None\]; allowed are lists of whole numbers"),
    ("model.attention=[4,true]", r"model\.attention: \[4, True\]; allowed are lists of whole numbers"),
    ("metrics.distances=5", r"metrics\.distances: 5; allowed are sections$"),
    ("sampler.clip=null", r"sampler\.clip: null; allowed are true or false"),
    ("logger=wandb logger.entity=5", r"logger\.entity: 5; allowed are text"),
    ("resume=5", r"resume: 5; allowed are text"),
    ("watchdog.loss_bound=true", r"watchdog\.loss_bound: true; allowed are finite numbers"),
    ("watchdog.skip=1.5", r"watchdog\.skip: 1\.5; allowed are whole numbers"),
    ("sweep.objective=null", r"sweep\.objective: null; allowed are text, such as test/bits_per_dim"),
    ("trainer.deterministic=maybe", r"trainer\.deterministic: maybe; allowed are null, true, false, warn"),
    ("trainer.benchmark=5", r"trainer\.benchmark: 5; allowed are null, true, false"),
    ("trainer.max_epochs=true", r"trainer\.max_epochs: true; allowed are whole numbers from 1"),
    ("trainer.val_check_interval=0.5", r"trainer\.val_check_interval: 0\.5; allowed are whole numbers"),
    # ranges
    ("optim.lr=0", r"optim\.lr: 0; allowed are positive numbers"),
    ("optim.lr=-0.0", r"optim\.lr: -0\.0; allowed are positive numbers"),
    ("optim.lr=nan", r"optim\.lr: nan; allowed are positive numbers"),
    ("optim.lr=1e400", r"optim\.lr: inf; allowed are positive numbers"),
    (f"optim.lr=1{'0' * 400}", r"optim\.lr: 10{96}\.\.\.; allowed are positive numbers"),
    ("optim.betas=[0.9]", r"optim\.betas: \[0\.9\]; allowed are two numbers from 0 to below 1"),
    ("optim.betas=[0.9,nan]", r"optim\.betas: \[0\.9, nan\]; allowed are two numbers"),
    ("seed=-1", r"seed: -1; allowed are whole numbers from 0 to 2\^63 - 1"),
    ("data.val_size=0", r"data\.val_size: 0; allowed are whole numbers from 1"),
    ("data.workers=-1", r"data\.workers: -1; allowed are whole numbers from 0"),
    ("model.multipliers=[]", r"model\.multipliers: \[\]; allowed are one or more whole numbers from 1"),
    ("model.dropout=1", r"model\.dropout: 1; allowed are numbers from 0 to below 1"),
    ("schedule.T=0", r"schedule\.T: 0; allowed are whole numbers from 2"),
    ("checkpoints.keep=0", r"checkpoints\.keep: 0; allowed are whole numbers from 1"),
    ("watchdog.loss_bound=nan", r"watchdog\.loss_bound: nan; allowed are finite numbers"),
    ("watchdog.skip=-1", r"watchdog\.skip: -1; allowed are whole numbers from 0"),
    ("sweep.trials=0", r"sweep\.trials: 0; allowed are whole numbers from 1"),
    ("sweep.direction=down", r"sweep\.direction: down; allowed are minimize, maximize"),
    ("metrics.budget=2", r"metrics\.budget: 2; allowed are numbers from 0\.001 to 1"),
    ("ema=power ema.lengths=[]", r"ema\.lengths: \[\]; allowed are one or more numbers from 0\.001 to 0\.2886"),
    ("ema=halflife ema.rampup=0", r"ema\.rampup: 0; allowed are positive numbers"),
    ("sampler=heun sampler.churn_noise=inf", r"sampler\.churn_noise: inf; allowed are numbers from 0"),
    ("sampler=heun sampler.churn_max=nan", r"sampler\.churn_max: nan; allowed are positive numbers, \.inf among them"),
    ("grid=explicit grid.times=[0.1,0.9]", r"grid\.times: \[0\.1, 0\.9\]; allowed are falling numbers from 1 to 0"),
    ("study=bound_terms study.images=0", r"study\.images: 0; allowed are whole numbers from 1"),
    ("trainer.max_steps=-1", r"trainer\.max_steps: -1; allowed are whole numbers from 1"),
    ("trainer.max_steps=100000000000000000000", r"trainer\.max_steps: 10{20}; allowed are numbers below 2\^63"),
    ("trainer.max_time=soon", r"trainer\.max_time: soon; allowed are null, DD:HH:MM:SS, or such as \{hours: 2"),
    ("trainer.max_time=1:00:00", r"trainer\.max_time: 1:00:00; allowed are null, DD:HH:MM:SS"),
    ("trainer.max_time={hour:1}", r"trainer\.max_time: \{'hour': 1\}; allowed are null, DD:HH:MM:SS"),
    ("trainer.max_time=5", r"trainer\.max_time: 5; allowed are null, DD:HH:MM:SS"),
    ("trainer.devices=0", r"trainer\.devices: 0; allowed are auto"),
    ("trainer.devices=[]", r"trainer\.devices: \[\]; allowed are auto"),
    ("trainer.devices=[0,0]", r"trainer\.devices: \[0, 0\]; allowed are auto"),
    ("trainer.devices=two", r"trainer\.devices: two; allowed are auto"),
    ("trainer.devices=true", r"trainer\.devices: true; allowed are auto"),
    ("trainer.num_nodes=0", r"trainer\.num_nodes: 0; allowed are whole numbers from 1"),
    ("trainer.strategy=dpp", r"trainer\.strategy: dpp; allowed are auto, ddp"),
    ("trainer.accelerator=gpuu", r"trainer\.accelerator: gpuu; allowed are auto, cpu, gpu"),
    ("trainer.precision=16", r"trainer\.precision: 16; allowed are auto, 32-true"),
    ("trainer.accumulate_grad_batches=0", r"trainer\.accumulate_grad_batches: 0; allowed are whole numbers from 1"),
    ("trainer.limit_train_batches=2.5", r"trainer\.limit_train_batches: 2\.5; allowed are null, or positive: whole"),
    (
        "trainer.limit_train_batches=5 trainer.accumulate_grad_batches=2",
        r"trainer\.limit_train_batches: 5; allowed are multiples of accumulate_grad_batches = 2",
    ),
    ("trainer.limit_train_batches=true", r"trainer\.limit_train_batches: true; allowed are null, or positive"),
    ("trainer.limit_val_batches=-1", r"trainer\.limit_val_batches: -1; allowed are null, whole numbers of batches"),
    ("trainer.fast_dev_run=0", r"trainer\.fast_dev_run: 0; allowed are true, false, or whole numbers from 1"),
    ("trainer.profiler=foo", r"trainer\.profiler: foo; allowed are null, simple, advanced, pytorch"),
    ("name=a/b", r"name: a/b; allowed are names of a folder: text without / and \\"),
    ("name=..", r"name: \.\.; allowed are names of a folder"),
    ("name=.hidden", r"name: \.hidden; allowed are names of a folder"),
    ("name='a\tb'", r"name: a\sb; allowed are names of a folder"),
    (f"name={'n' * 250}", r"name: n+\.\.\.; allowed are names of a folder"),
    ("name=", r"name: ; allowed are names of a folder"),
    ("cache=''", r"cache: ; allowed are text"),
    # fields together
    ("schedule.T=21 sampler.steps=22", r"sampler\.steps: 22; allowed are 1 to schedule\.T = 21"),
    ("schedule.beta_first=0.5 schedule.T=400", r"schedule\.T: 400; .* allowed are more than 500"),
    (
        "schedule=geometric schedule.sigma_min=60",
        r"schedule\.sigma_min: 60; allowed are numbers below schedule\.sigma_max = 50\.0",
    ),
    ("times=log_snr times.log_snr_min=30", r"times\.log_snr_min: 30; allowed are numbers below times\.log_snr_max"),
    (
        "sampler=heun sampler.churn_min=5 sampler.churn_max=1",
        r"sampler\.churn_min: 5; allowed are numbers below sampler\.churn_max = 1",
    ),
    ("trainer.devices=3", r"data\.batch_size: 128 cannot be shared by 3 processes; allowed are multiples of 3"),
    ("trainer.devices=[0,1,2]", r"data\.batch_size: 128 cannot be shared by 3 processes"),
    ("trainer.devices=2 trainer.num_nodes=3", r"data\.batch_size: 128 cannot be shared by 6 processes"),
    ("trainer.devices=4 data.val_size=2", r"data\.val_size: 2 for 4 processes; allowed are numbers from 4 on"),
    ("data=gaussian_mixture data.weights=[1.0]", r"data\.weights: \[1\.0\]; allowed are as many as there are means: 2"),
    ("logger=wandb logger.mode=onlin", r"logger\.mode: onlin; allowed are online, offline, disabled"),
    ("resume=a replay=b", r"replay: b beside resume=a; allowed is one of them"),
    # names
    ("schedule=linaer", r"schedule: linaer; did you mean linear\? allowed are cosine, flow"),
    ("sampler=ddmi", r"sampler: ddmi; did you mean ddim\? allowed are ancestral"),
    ("shedule=linear", r"shedule: unknown; did you mean schedule\?"),
    ("experiment=digits_lang", r"experiment: digits_lang; did you mean digits_long\?"),
    ("ablation=technique1_off", r"ablation: technique1_off; did you mean technique_1_off\?"),
    ("hydra/launcher=jobli", r"hydra/launcher: jobli; did you mean joblib\? allowed are basic"),
    ("hydra/lancher=joblib", r"hydra/lancher: unknown; did you mean hydra/launcher\?"),
    ("data=zebra", r"data: zebra; allowed are celeba, checkerboard"),
    ("+experiment=digits_long", r"experiment: has a value already, .* allowed is experiment=OPTION"),
    ("model=null", r"model: null; allowed are ddpmpp, dit"),
    ("optim=5", r"optim: 5; allowed are adamw"),
    ("schedule=[linear,cosine]", r"schedule: no option, or several; allowed is one of cosine"),
    ("schedule=linear,cosine", r"schedule=linear,cosine"),
    ("~model", r"model: no option, or several; allowed is one of ddpmpp, dit"),
    ("~trainer.precision", r"trainer\.precision: missing; allowed are text"),
    ("optim.lrr=1", r"optim\.lrr: unknown; did you mean optim\.lr\?"),
    ("loss.gama=1", r"loss\.gama: unknown; did you mean loss\.gamma\?"),
    ("traner.max_steps=5", r"traner: unknown; did you mean trainer\?"),
    ("trainer.max_stepz=5", r"trainer\.max_stepz: unknown; did you mean trainer\.max_steps\?"),
    ("schedule=vp schedule.T=100", r"schedule\.T: unknown with the options chosen; allowed with schedule=cosine"),
    ("+sampler.churn=1", r"sampler\.churn: unknown; allowed are grid, steps, clip, eta"),
    ("+likelihood.estimate.stepz=2", r"likelihood\.estimate\.stepz: unknown; did you mean likelihood\.estimate\.st"),
    ("+anything=1", r"anything: unknown; allowed are name, seed"),
    ("experiment=digits_long model=mlp", r"model\.channels: unknown; allowed are c_noise, width"),
    ("sampler.grid=uniform", r"sampler\.grid: uniform; it is that of the whole run: choose it by grid=uniform"),
    ("sampler.grid.foo=1", r"sampler\.grid\.foo: unknown; sampler\.grid is that of the whole run"),
    # what composes to nothing
    ("seed=???", r"seed: \?\?\?; this value is missing: say seed=VALUE"),
    ("seed=${data.seed}", r"seed: .*[Rr]ecursive interpolation"),
    ("name=${nowhere}", r"name: .*nowhere"),
    ("~seed", r"data\.seed: .*seed"),
    ("=5", r"=5: allowed are GROUP=OPTION and KEY=VALUE"),
]
OF_SCRIPTS = [
    ("sample", "run=x n=1.5", r"n: 1\.5; allowed are whole numbers, such as 64"),
    ("sample", "run=x n=0", r"n: 0; allowed are whole numbers from 1"),
    ("sample", "run=x animation=gf", r"animation: gf; allowed are null, gif, mp4"),
    ("sample", "run=x ema.length=nan", r"ema\.length: nan; allowed are positive numbers"),
    ("evaluate", "run=x devices=true", r"devices: true; allowed are whole numbers"),
    ("evaluate", "run=x likelihood=exakt", r"likelihood: exakt; did you mean exact\?"),
    ("evaluate", "run=x checkpoint=", r"checkpoint: ; allowed are text"),
    ("study", "runs=x study=bond_terms", r"study: bond_terms; did you mean bound_terms\?"),
    ("study", "runs=5", r"runs: 5; allowed are a folder or a list of them"),
    ("export", "run=x formt=safetensors", r"formt: unknown; did you mean format\?"),
    ("benchmark", "repetitions=0", r"repetitions: 0; allowed are whole numbers from 1"),
    ("cost", "utilisation=2", r"utilisation: 2; allowed are numbers above 0, at most 1"),
    ("sampler_errors", "tolerances=[2]", r"tolerances: \[2\]; allowed are one or more numbers between 0 and 1"),
]


def said(override: str, config: str) -> str:
    """The one line in which it is refused."""
    with pytest.raises(ConfigError) as refusal:
        checked(*override.split(" "), config=config)
    message = str(refusal.value)
    assert len(message.splitlines()) <= (2 if "multirun" in message else 1)
    return message


@pytest.mark.parametrize(("override", "message"), BAD, ids=lambda text: text[:40])
def test_what_cannot_run_is_refused_in_one_line(override, message):
    found = said(override, "train")
    assert re.search(message, found), found


@pytest.mark.parametrize(("config", "override", "message"), OF_SCRIPTS)
def test_scripts_refuse_theirs(config, override, message):
    found = said(override, config)
    assert re.match(message, found), found


def numeric(value: Any) -> bool:
    """Whether a default is a number or a list of them."""
    inner = value if isinstance(value, list) and value else [value]
    return all(isinstance(item, int | float) and not isinstance(item, bool) for item in inner) or (
        isinstance(value, list) and any(isinstance(item, list) for item in value)
    )


def fields() -> Iterator[tuple[str, Any]]:
    """Every field of every YAML of ours, and its default."""
    for path in [*CONFIGS.glob("*.yaml"), *CONFIGS.glob("*/*.yaml")]:
        group = path.parent.name
        if path.parent != CONFIGS and not is_section(group, path.stem):
            continue
        plain: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        prefix = "" if path.parent == CONFIGS else f"{group}."
        for field, value in flatten(plain).items():
            if not field.startswith(("hydra", "defaults")) and not field.endswith("_target_"):
                yield f"{prefix}{field}", value


# Fields whose null is the only value that this version takes, and is refused in words of its own.
LATER = {"classes"}


def test_every_number_and_every_null_has_a_range():
    """A default says of its type what a number or a null does not."""
    known = list(fields())
    sections = {name[:i] for name, _ in known for i, character in enumerate(name) if character == "."}
    unsaid = {name for name, value in known if numeric(value) or value is None}
    assert unsaid - RANGES.keys() - FREE - LATER - sections == set()


def test_no_range_is_of_a_field_that_is_not_there():
    sections = {"trainer", "ema"}  # where fields come from the command line as well
    assert {name for name in RANGES if name.split(".")[0] not in sections} <= {name for name, _ in fields()}


@pytest.mark.parametrize("value", [float("nan"), [float("nan")], object()], ids=["nan", "list", "object"])
def test_no_range_lets_anything_pass(value):
    def passes(kind: Range) -> bool:
        try:
            return kind.holds(value)
        except TypeError:  # which is a refusal too
            return False

    assert [name for name, kind in RANGES.items() if passes(kind)] == []


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory) -> str:
    """A PYTHONPATH on which torch and lightning cannot be imported."""
    folder = tmp_path_factory.mktemp("without_torch")
    for name in ("torch", "lightning"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    return os.pathsep.join((str(folder), str(REPOSITORY / "src")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train.py model=null", "refused: model: null; allowed are ddpmpp"),
        ("train.py schedule=linaer", "refused: schedule: linaer; did you mean linear? allowed are cosine"),
        ("train.py trainer.devices=3", "refused: data.batch_size: 128 cannot be shared by 3 processes"),
        ("scripts/export.py run=x n=4", "refused: n: unknown"),
    ],
)
def test_the_command_line_refuses_without_torch(command, message, without_torch, tmp_path):
    child = shell(command.split(" "), tmp_path, PYTHONPATH=without_torch)
    stdout, stderr = child.communicate()
    assert child.returncode == 2, stdout + stderr
    assert stderr.startswith(message) and len(stderr.splitlines()) <= 3 and not stdout
