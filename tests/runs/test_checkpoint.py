"""Checkpoints are read without trust: damage and code are refused, and a run goes back to an earlier one."""

import pickle
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from difflab import load_run
from difflab.errors import ConfigError
from difflab.runs.checkpoint import problem, read

sys.path.insert(0, str(Path(__file__).parent))
import children
from children import SIGTERM, run_folder, train
from sameness import assert_same_run

pytestmark = pytest.mark.slow  # whole runs in processes of their own


class Code:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def content() -> dict:
    weights = {"denoiser.w": torch.arange(12.0).reshape(3, 4), "denoiser.b": torch.ones(3)}
    return {"state_dict": weights, "current_model_state": {k: 2 * v for k, v in weights.items()}, "global_step": 7}


def same(a: dict, b: dict) -> bool:
    parts = ("state_dict", "current_model_state")
    return a["global_step"] == b["global_step"] and all(
        a[part].keys() == b[part].keys() and all(torch.equal(a[part][k], b[part][k]) for k in a[part]) for part in parts
    )


def test_a_whole_checkpoint_is_read(tmp_path):
    torch.save(content(), tmp_path / "a.ckpt")
    assert same(read(tmp_path / "a.ckpt", "run"), content())
    assert problem(tmp_path / "a.ckpt") is None


def test_a_flipped_byte_is_noticed_or_harmless(tmp_path):
    """Wherever it is: in the tensors, in the pickle, in the directory of the archive, in its padding."""
    path, damaged = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    torch.save(content(), path)
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 5):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert same(read(damaged, "run"), content()), place
        except ConfigError as error:
            assert str(damaged) in str(error)
            noticed += 1
    assert noticed > len(whole) // 50


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_cut_file_is_damaged(share, tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save(content(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ConfigError, match=r"a\.ckpt is damaged"):
        read(path, "run")


def test_what_would_need_unpickling_is_refused_by_name(tmp_path):
    trap = tmp_path / "trap"
    torch.save(content() | {"extra": Code(trap)}, tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=r"a\.ckpt holds more than tensors.*unpickling"):
        read(tmp_path / "a.ckpt", "run")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Code(trap)))
    with pytest.raises(ConfigError, match=r"b\.ckpt is damaged"):
        read(tmp_path / "b.ckpt", "run")
    assert not trap.exists()


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    torch.save({"weights": torch.ones(3)}, tmp_path / "a.ckpt")
    torch.save(torch.ones(3), tmp_path / "b.ckpt")
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(ConfigError, match="no checkpoint of difflab: state_dict is missing"):
            read(tmp_path / name, "run")
    with pytest.raises(ConfigError, match="there is no checkpoint"):
        read(tmp_path / "c.ckpt", "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run of 12 steps with the checkpoints 6, 9 and 12."""
    folder = tmp_path_factory.mktemp("whole")
    code, text = train(folder=folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.fixture
def cut(tmp_path) -> Path:
    """The same run stopped after step 11, with the checkpoints 6, 9 and 11."""
    code, text = train(folder=tmp_path, kill=("training", 10, SIGTERM))
    assert code == 143, text
    return run_folder(tmp_path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def flip(path: Path) -> None:
    """A byte in the middle of the largest tensor: between tensors there is padding, which means nothing."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    whole = bytearray(path.read_bytes())
    name, extra = (int.from_bytes(whole[largest.header_offset + at :][:2], "little") for at in (26, 28))
    whole[largest.header_offset + 30 + name + extra + largest.file_size // 2] ^= 1
    path.write_bytes(whole)


def infect(path: Path) -> None:
    """The checkpoint with an object that only unpickling could make."""
    torch.save(torch.load(path, weights_only=True) | {"extra": Code(path.parents[3] / "trap")}, path)


def test_plain_torch_load_reads_every_checkpoint(whole):
    for path in (whole / "checkpoints").iterdir():
        loaded = torch.load(path, weights_only=True)
        assert loaded["state_dict"].keys() == loaded["current_model_state"].keys()
        differs = [k for k, w in loaded["state_dict"].items() if not torch.equal(w, loaded["current_model_state"][k])]
        assert differs


@pytest.mark.parametrize("damage", [truncate, flip, infect], ids=lambda d: d.__name__)
def test_a_resumed_run_goes_back_to_the_checkpoint_before(damage, whole, cut, tmp_path):
    last = cut / "checkpoints" / "last.ckpt"
    (cut / "checkpoints" / "step_000011.ckpt").unlink()
    damage(last)
    errors = len(children.read(tmp_path / "errors.txt"))
    code, text = train(f"resume={cut}", folder=tmp_path)
    assert code == 0, text
    warning = children.read(tmp_path / "errors.txt")[errors:]
    assert "WARNING" in warning
    assert str(last) in warning
    assert f"going back to {cut / 'checkpoints' / 'step_000009.ckpt'}" in warning
    assert not (tmp_path / "trap").exists()
    ends = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, cut)]
    assert same(*ends)
    assert ends[0]["global_step"] == 12


def test_the_best_checkpoint_is_what_a_resume_starts_from_when_nothing_else_is_whole(whole, cut, tmp_path):
    """It is of step 8, and the run from there has the bits of any other."""
    for path in (cut / "checkpoints").glob("step_*.ckpt"):
        truncate(path)
    (cut / "metrics.csv").unlink()
    code, text = train(f"resume={cut}", folder=tmp_path)
    assert code == 0, text
    for name in ("last", "step_000011", "step_000009", "step_000006"):
        assert re.search(rf"{name}\.ckpt: is damaged .*; going back to {cut / 'checkpoints' / 'best.ckpt'}", text)
    assert_same_run(whole, cut)


@pytest.mark.parametrize("damage", [truncate, flip, infect], ids=lambda d: d.__name__)
def test_without_a_good_checkpoint_a_resume_is_refused(damage, cut, tmp_path):
    status = (cut / "status.json").read_text()
    for name in ("step_000006.ckpt", "step_000009.ckpt", "step_000011.ckpt", "best.ckpt"):  # last.ckpt is a link
        damage(cut / "checkpoints" / name)
    errors = len(children.read(tmp_path / "errors.txt"))
    code, _ = train(f"resume={cut}", folder=tmp_path)
    assert code == 2
    message = children.read(tmp_path / "errors.txt")[errors:]
    assert message.startswith(f"refused: resume: no checkpoint of {cut} can be used: {cut / 'checkpoints'}")
    assert ("unpickling" if damage is infect else "damaged") in message
    assert len(message.splitlines()) == 1
    assert (cut / "status.json").read_text() == status
    assert not (tmp_path / "trap").exists()
    with pytest.raises(ConfigError, match="unpickling" if damage is infect else "damaged"):
        load_run(cut)
    assert not (tmp_path / "trap").exists()


def test_a_checkpoint_of_another_network_is_refused(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("width: 16\n  blocks", "width: 32\n  blocks"))
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 2
    assert "last.ckpt" in text and "the model needs (32" in text
    with pytest.raises(ConfigError, match="size mismatch"):
        load_run(run)


@pytest.mark.parametrize("config", ["", "[1, 2]", "model: {", "model: ${nothing}", "seed: 1", "\x00"])
def test_a_config_that_no_run_wrote_is_refused(config, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "config.yaml").write_text(config)
    with pytest.raises(ConfigError, match=r"run: .*config\.yaml"):
        load_run(run)
    code, text = train(f"resume={run}", folder=tmp_path)
    assert code == 2
    assert "resume: " in text and "config.yaml" in text


@pytest.mark.parametrize(
    "target", ["os.system", "difflab.runs.load.load_run", "difflab.data.picture_files.os.system", "posix.system"]
)
def test_load_run_names_no_class_outside_of_the_allow_list(target, whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    trap = tmp_path / "trap"
    config = (run / "config.yaml").read_text()
    config = config.replace("  _target_: difflab.models.MLP\n", f"  _target_: {target}\n  command: touch {trap}\n")
    (run / "config.yaml").write_text(config)
    with pytest.raises(ConfigError, match=rf"model\._target_: {target}(;| is not there).* allowed are"):
        load_run(run)
    nested = (whole / "config.yaml").read_text().replace("difflab.models.StepIndex", target)
    (run / "config.yaml").write_text(nested)
    with pytest.raises(ConfigError, match=rf"model\.c_noise\._target_: {target}(;| is not there).* allowed are"):
        load_run(run)
    assert not trap.exists()
