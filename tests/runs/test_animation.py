"""scripts/sample.py animation=gif, from command line to film."""

import sys
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

sys.path.insert(0, str(Path(__file__).parent))
from children import run_folder, script, train

pytestmark = pytest.mark.slow  # whole runs in processes of their own


@pytest.mark.parametrize("data", ["digits", "gaussian_mixture"])
def test_a_film_lies_beside_the_samples(data, tmp_path):
    code, text = train(f"data={data}", "trainer.max_steps=2", "schedule.T=100", folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    wanted = ("n=10", "chunk=10", "animation=gif", "sampler.steps=100", f"out='{tmp_path}'")
    code, text = script("sample", [f"run={run}", *wanted], tmp_path)
    assert code == 0, text
    (film,) = tmp_path.glob("*.gif")
    assert str(film) in text and film.with_suffix(".npz").is_file() and film.with_suffix(".png").is_file()
    times = [frame.info["duration"] for frame in ImageSequence.Iterator(Image.open(film))]
    assert sum(times) == 59 * 50 + 1000 and len(times) > 40  # 60 of 101 states; Pillow joins frames that are equal
    code, text = script("sample", [f"run={run}", "animation=webm"], tmp_path)
    assert code == 2 and "animation: webm; allowed are null, gif, mp4" in text
