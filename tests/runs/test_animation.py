"""scripts/sample.py animation=gif, from command line to film."""

import os
import subprocess
import sys

import pytest
from PIL import Image, ImageSequence

from difflab.runs.paths import CONFIGS

ROOT = CONFIGS.parent
pytestmark = pytest.mark.slow


def command(name, *arguments):
    """Exit status and all output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, str(ROOT / name), *arguments], capture_output=True, text=True, env=environment
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("data", ["digits", "gaussian_mixture"])
def test_a_film_lies_beside_the_samples(data, tmp_path):
    small = ("model=mlp", "model.width=16", "model.blocks=1", "metrics=none", "trainer.max_steps=2")
    code, text = command("train.py", f"data={data}", *small, f"outputs={tmp_path}", "name=test", "schedule.T=100")
    assert code == 0, text
    (run,) = tmp_path.glob("runs/test/*")
    wanted = ("n=10", "chunk=10", "animation=gif", "sampler.steps=100", f"out='{tmp_path}'")
    code, text = command("scripts/sample.py", f"run={run}", *wanted)
    assert code == 0, text
    (film,) = tmp_path.glob("*.gif")
    assert str(film) in text and film.with_suffix(".npz").is_file() and film.with_suffix(".png").is_file()
    times = [frame.info["duration"] for frame in ImageSequence.Iterator(Image.open(film))]
    assert sum(times) == 59 * 50 + 1000 and len(times) > 40  # 60 of 101 states; Pillow joins frames that are equal
    code, text = command("scripts/sample.py", f"run={run}", "animation=webm")
    assert code == 2 and "animation: webm; allowed are null, gif, mp4" in text
