"""Bad input: exit code 2, a short message that names the field, the value and what is allowed, and nothing left behind.

The first pass runs before torch is imported: its cases run where torch cannot be imported.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from children import SMALL, no_network, read, run_folder, script, shell, train
from tiny_data import mnist, pictures

# (arguments, fragments of the message)
FIRST_PASS = [
    ("model=nope", "model: nope", "oracle, oracle_gaussian, unet, unet_adm, unet_cifar10, unet_improved"),
    ("experiment=nope", "experiment: nope", "digits_long"),
    ("optim.lrr=1", "optim.lrr: unknown", "did you mean optim.lr?"),
    ("lr=1", "lr: unknown", "optim.lr"),
    ("nope=1", "nope: unknown", "allowed are name, seed"),
    ("loss.power=1", "loss.power: unknown", "allowed with loss=explicit, implicit, score, sliced, sliced_vr"),
    ("+optim.momentum=1", "optim.momentum: unknown", "allowed are lr, betas"),
    ("optim", "optim", "missing EQUAL"),
    ("trainer.max_steps=10,20", "trainer.max_steps=10,20", "--multirun"),
    ("optim.lr=abc", "optim.lr: abc", "numbers, such as"),
    ("optim.lr=null", "optim.lr: null", "numbers"),
    ("optim.lr=-1", "optim.lr: -1", "positive numbers"),
    ("optim.lr=.inf", "optim.lr", "numbers"),
    ("optim.betas=[0.9]", "optim.betas: [0.9]", "two numbers"),
    ("optim.betas=[a,b]", "optim.betas: ['a', 'b']", "numbers"),
    ("seed=-1", "seed: -1", "whole numbers from 0"),
    ("seed=1.5", "seed: 1.5", "whole numbers"),
    ("seed=99999999999999999999", "seed: 99999999999999999999", "2^63"),
    ("data.batch_size=0", "data.batch_size: 0", "whole numbers from 1"),
    ("data.val_size=-3", "data.val_size: -3", "whole numbers from 1"),
    ("data.flip=1", "data.flip: 1", "true or false"),
    ("data=gaussian_mixture data.noise=1", "data.noise: unknown", "allowed with data="),
    ("data=swiss_roll data.noise=-1", "data.noise: -1", "numbers from 0"),
    ("data=gaussian_mixture data.weights=[0,1]", "data.weights: [0, 1]", "positive"),
    ("trainer.max_steps=0", "trainer.max_steps: 0", "whole numbers from 1"),
    ("trainer.max_steps=1e3", "trainer.max_steps: 1000.0", "whole numbers"),
    ("trainer.max_epochs=1.5", "trainer.max_epochs: 1.5", "whole numbers from 1"),
    ("trainer.limit_train_batches=0", "trainer.limit_train_batches: 0", "positive"),
    ("trainer.devices=0", "trainer.devices: 0", "auto"),
    ("trainer.precision=foo", "trainer.precision: foo", "bf16-mixed"),
    ("trainer.precision=32", "trainer.precision: 32", "32-true"),
    ("trainer.strategy=ddp_spawn", "trainer.strategy: ddp_spawn", "ddp"),
    ("trainer.gradient_clip_algorithm=foo", "trainer.gradient_clip_algorithm: foo", "norm, value"),
    ("model.width=0", "model.width: 0", "whole numbers from 1"),
    ("model.dropout=1", "model.dropout: 1", "below 1"),
    ("schedule.T=1", "schedule.T: 1", "whole numbers from 2"),
    ("schedule.T=20", "schedule.T: 20", "more than 20"),
    ("schedule.beta_last=nan", "schedule.beta_last: nan", "between 0 and 1"),
    ("schedule.beta_first=0", "schedule.beta_first: 0", "between 0 and 1"),
    ("schedule=quadratic schedule.beta_last=1", "schedule.beta_last: 1", "between 0 and 1"),
    ("schedule=geometric schedule.sigma_min=60", "schedule.sigma_min: 60", "below schedule.sigma_max = 50.0"),
    ("schedule=karras schedule.sigma_max=0.001", "schedule.sigma_min: 0.002", "below schedule.sigma_max = 0.001"),
    ("schedule=geometric schedule.L=1", "schedule.L: 1", "whole numbers from 2"),
    ("schedule=vp schedule.T=100", "schedule.T: unknown", "allowed with schedule=cosine, linear"),
    ("sampler=dpm_solver sampler.order=4", "sampler.order: 4", "1, 2, 3"),
    ("sampler=dpm_solver sampler.variant=fixed", "sampler.variant: fixed", "corrected, published"),
    ("sampler=unipc sampler.order=0", "sampler.order: 0", "1, 2, 3"),
    ("sampler.clip=1.5", "sampler.clip: 1.5", "true, false, or a percentile"),
    ("grid=explicit grid.times=[0.5,0.6]", "grid.times: [0.5, 0.6]", "falling numbers from 1 to 0"),
    ("grid=explicit grid.times=[1.5,0.6]", "grid.times: [1.5, 0.6]", "falling numbers from 1 to 0"),
    ("grid=explicit grid.times=[]", "grid.times: []", "at least one"),
    ("times=lognormal times.std=0", "times.std: 0", "positive"),
    ("times=one_level times.sigma=0", "times.sigma: 0", "positive"),
    ("loss=sliced loss.probes=0", "loss.probes: 0", "whole numbers from 1"),
    ("loss=sliced_vr loss.noise=-1", "loss.noise: -1", "null or numbers from 0"),
    ("loss=sliced_vr loss.noise=true", "loss.noise: true", "null or numbers from 0"),
    ("loss=implicit loss.most=0", "loss.most: 0", "whole numbers from 1"),
    ("sampler.steps=1001", "sampler.steps: 1001", "1 to schedule.T = 1000"),
    ("sampler=ancestral sampler.steps=true", "sampler.steps: true", "whole numbers from 1"),
    ("sampler.eta=1.5", "sampler.eta: 1.5", "from 0 to 1"),
    ("generation.chunk=0", "generation.chunk: 0", "whole numbers from 1"),
    ("logger=wandb logger.mode=foo", "logger.mode: foo", "online, offline, disabled"),
    ("features.dimension=65", "features.dimension: 65", "1 to 64"),
    ("name=null", "name: null", "text"),
    ("name=${oc.env:NO_SUCH_NAME}", "NO_SUCH_NAME"),
    ("outputs=/dev/null/there", "outputs: /dev/null/there", "Not a directory", "folders to write to"),
    ("resume={empty}", "resume: {empty}", "not a run folder", "config.yaml"),
    ("resume={empty}/nowhere", "resume: {empty}/nowhere", "not a run folder"),
    ("-m resume={empty}", "resume: {empty}", "one run at a time"),
]
SCRIPTS = [
    ("evaluate", "run={empty}", "run: {empty}", "not a run folder"),
    ("evaluate", "run=null", "run: null", "run folders"),
    ("evaluate", "sampler=ddim", "run: null", "run folders"),
    ("sample", "run={empty}/nowhere n=4", "run: {empty}/nowhere", "not a run folder"),
    ("sample", "n=4", "run: null", "run folders"),
]
SECOND_PASS = [
    ("model.width=7", "model.width: 7", "even"),
    ("variance=learned", "variance: Learned", "loss=hybrid"),
    ("loss=hybrid variance=posterior", "loss: Hybrid", "variance=learned"),
    ("loss=vlb variance=analytic", "variance: Analytic", "cannot train it"),
    ("schedule=flow prediction=eps", "prediction: Eps", "alpha = 0", "allowed are x0, v, flow"),
    ("warp=zero_terminal_snr prediction=edm", "prediction: EDM", "alpha = 0", "allowed are x0, v, flow"),
    ("warp=zero_terminal_snr schedule=geometric", "warp", "variance-preserving"),
    ("schedule=learned loss=simple", "loss: Simple", "trained by the bound"),
    ("loss=vlb times=lognormal", "times: LogNormal", "not divided by their density"),
    ("schedule=vp likelihood=exact metrics.likelihood=true", "likelihood: Likelihood", "allowed are continuous, ode"),
    ("schedule=geometric sampler=langevin", "sampler.steps: null", "give a number"),
    ("sampler=langevin sampler.step_size=2", "sampler.step_size: 2", "diverge"),
    ("sampler=plain_langevin sampler.step_size=1", "sampler.step_size: 1", "below 4 (s^2 + v)"),
    ("schedule=flow sampler=langevin sampler.steps=10", "sampler: langevin", "alpha is 0"),
    ("schedule.T=100 grid=explicit", "grid.times", "t_min"),
    ("~model.width", "model", "width"),
    ("~model._target_", "model._target_", "classes of difflab"),
    ("model._target_=os.system", "model._target_: os.system", "classes of difflab"),
    ("model._target_=difflab.runs.folder.subprocess.run", "difflab.runs.folder.subprocess.run", "allowed are"),
    ("model._target_=difflab.data.picture_files.os.system", "difflab.data.picture_files.os.system", "allowed are"),
    ("c_noise._target_=difflab.runs.load.load_run", "model.c_noise._target_: difflab.runs.load", "allowed are"),
    ("sampler.variance=forward", "sampler.variance: forward", "choose it by variance=forward"),
    ("loss=hybrid schedule=vp", "loss: Hybrid", "no T steps"),
    (
        "schedule=karras grid=explicit grid.times=[0.6,0.3,0.0]",
        "grid.times: the first is 0.6",
        "allowed is 1",
    ),
    ("model._target_=difflab.data.picture_files.ThreadPoolExecutor", "ThreadPoolExecutor", "concurrent.futures"),
    ("model._target_=lightning.pytorch.LightningModule.load_from_checkpoint", "load_from_checkpoint", "allowed are"),
    ("model._target_=difflab.models.UNet3", "difflab.models.UNet3 is not there", "allowed are"),
    ("trainer.accelerator=foo", "trainer", "foo", "cpu"),
    ("trainer.max_time=soon", "trainer", "soon", "DD:HH:MM:SS"),
    ("trainer.profiler=foo", "trainer", "profiler", "simple"),
    ("+trainer.callbacks=[]", "trainer.callbacks", "difflab sets it itself"),
    ("+trainer.foo=1", "trainer.foo: unknown", "max_steps"),
    ("trainer=ddp trainer.devices=2 data.batch_size=33", "data.batch_size: 33", "multiples of 2"),
    ("trainer=ddp trainer.devices=2 data.val_size=1", "data.val_size: 1", "from 2 on"),
    ("data.batch_size=2000", "data.batch_size", "2000", "1437"),
    ("data.val_size=1437", "data.val_size", "1437"),
    ("data=image_folder data.root={empty}/nowhere", "data.root: {empty}/nowhere", "not a folder"),
    ("data=image_folder data.root={empty}", "data.root: {empty}", "no images"),
    ("data=image_folder data.root={broken}", "data.root: {broken}/3.png", "cannot be read"),
    ("data=image_folder data.root={text}", "data.root: {text}/notes.png", "not an image"),
    ("data=fashion_mnist data.root={empty}/files", "data.root: {empty}/files", "train-images-idx3-ubyte", "download"),
    ("data=mnist data.root={cut}", "data.root: {cut}/MNIST/raw/t10k-labels-idx1-ubyte", "damaged"),
    ("metrics=default metrics.samples=20", "metrics.samples: 20", "32 features needs more than 32"),
    (
        "data=image_folder data.root={plain} data.size=8 data.val_size=4 metrics=default features=classifier",
        "features: classifier",
        "classes",
        "metrics=none",
    ),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that the table speaks of, and one in which torch and lightning cannot be imported."""
    names = ("empty", "broken", "text", "cut", "plain", "without_torch")
    found = {name: tmp_path_factory.mktemp(name) for name in names}
    for name in ("torch", "lightning"):
        (found["without_torch"] / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')")
    for name in ("broken", "text", "plain"):
        pictures(found[name], n=400 if name == "plain" else 12)
    whole = (found["broken"] / "3.png").read_bytes()
    (found["broken"] / "3.png").write_bytes(whole[: len(whole) // 2])
    (found["text"] / "notes.png").write_text("not a picture")
    mnist(found["cut"])
    labels = found["cut"] / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    return found


def in_words(text: str, places: dict[str, Path]) -> list[str]:
    """A command line, or a fragment, with the folders put in."""
    for name, path in places.items():
        text = text.replace(f"{{{name}}}", str(path))
    return text.split(" ")


def assert_refusal(code: int, stderr: str, fragments: list[str]) -> None:
    assert code == 2, stderr
    assert stderr.startswith("refused: ")
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) <= 3
    for fragment in fragments:
        assert fragment in stderr


def assert_nothing_left(folder: Path) -> None:
    """At most .hydra/, run.log and status.json; and the status says refused."""
    for run in (folder / "outputs").glob("runs/*/*"):
        assert {path.name for path in run.iterdir()} <= {".hydra", "run.log", "status.json"}
        assert '"refused"' in (run / "status.json").read_text()
        assert "Traceback" not in read(run / "run.log")


@pytest.mark.slow  # each in a process that has imported nothing yet
@pytest.mark.parametrize("case", FIRST_PASS, ids=lambda case: case[0])
def test_first_pass_refuses_without_torch(case, places, tmp_path):
    arguments, *fragments = (" ".join(in_words(part, places)) for part in case)
    path = f"{places['without_torch']}:{Path(__file__).parents[2] / 'src'}"
    base = [] if "resume=" in arguments else SMALL
    child = shell(["train.py", *base, *arguments.split(" ")], tmp_path, PYTHONPATH=path)
    stdout, stderr = child.communicate()
    assert_refusal(child.returncode, stderr, fragments)
    assert not stdout
    assert_nothing_left(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", SCRIPTS, ids=lambda case: f"{case[0]} {case[1]}")
def test_scripts_refuse_a_run_that_is_none_without_torch(case, places, tmp_path):
    script_name, arguments, *fragments = (" ".join(in_words(part, places)) for part in case)
    path = f"{places['without_torch']}:{Path(__file__).parents[2] / 'src'}"
    child = shell([f"scripts/{script_name}.py", *arguments.split(" ")], tmp_path, PYTHONPATH=path)
    _, stderr = child.communicate()
    assert_refusal(child.returncode, stderr, fragments)
    assert not list(tmp_path.iterdir())
    assert not list(places["empty"].iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("case", SECOND_PASS, ids=lambda case: case[0])
def test_constructors_and_data_refuse_before_the_first_batch(case, places, tmp_path):
    arguments, *fragments = (" ".join(in_words(part, places)) for part in case)
    base = [item for item in SMALL if item != "data.batch_size=32" or "image_folder" not in arguments]
    if "~model.width" in arguments:
        base = [item for item in base if not item.startswith("model.width")]
    code, _ = script("train", [*base, *arguments.split(" ")], tmp_path, prepare=no_network)
    assert_refusal(code, read(tmp_path / "errors.txt"), fragments)
    assert_nothing_left(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ("model.multipliers=[1,2,2,2,2]", ["model.multipliers: 5 levels", "divisible by 16", "8x8"]),
        ("model.heads=3", ["model.channels: 32", "heads=3"]),
        ("model.multipliers=[]", ["model.multipliers: []", "one or more"]),
        ("model.attention=[a]", ["model.attention: ['a']", "whole numbers"]),
    ],
)
def test_networks_that_do_not_fit_the_image_are_refused(arguments, fragments, tmp_path):
    code, _ = script("train", ["model=unet", "trainer.accelerator=cpu", "name=test", arguments], tmp_path)
    assert_refusal(code, read(tmp_path / "errors.txt"), fragments)
    assert_nothing_left(tmp_path)


@pytest.mark.slow
def test_a_logger_writes_nothing_for_a_refused_run(tmp_path):
    code, _ = train("logger=wandb", "logger.mode=offline", "trainer.accelerator=foo", folder=tmp_path)
    assert_refusal(code, read(tmp_path / "errors.txt"), ["trainer", "foo"])
    assert_nothing_left(tmp_path)


@pytest.mark.slow
def test_a_new_run_does_not_write_into_an_old_one(tmp_path):
    assert train("trainer.max_steps=2", f"hydra.run.dir={tmp_path}/run", folder=tmp_path)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    code, _ = train("trainer.max_steps=3", f"hydra.run.dir={tmp_path}/run", folder=tmp_path)
    assert_refusal(code, read(tmp_path / "errors.txt"), ["hydra.run.dir", "holds a run", "resume="])
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_refused_resume_leaves_the_status_of_the_run(tmp_path):
    assert train("trainer.max_steps=3", folder=tmp_path)[0] == 0
    run = run_folder(tmp_path)
    before = (run / "status.json").read_text()
    code, _ = train(f"resume={run}", "trainer.max_steps=-1", folder=tmp_path)
    assert_refusal(code, read(tmp_path / "errors.txt"), ["trainer.max_steps: -1", "whole numbers from 1"])
    assert (run / "status.json").read_text() == before
