"""The denoising strip: from noise, at falling times, to the samples that the seed gives."""

import pytest
import torch

from difflab.errors import ConfigError
from difflab.evaluation import as_pictures, generate
from difflab.evaluation.strip import COLUMNS, IMAGES, strip
from difflab.prediction import X0, Denoiser
from tests.conftest import Formula, option


@pytest.fixture(scope="module")
def data():
    data = option("data", "digits")
    data.setup()
    return data


def denoiser(value):
    network = Formula(lambda x, t: torch.full_like(x, value) + 0.1 * x.clamp(-1, 1))
    return Denoiser(network, option("schedule", "cosine", "schedule.T=40"), X0()).eval()


@pytest.mark.parametrize(("name", "steps"), [("ddim", 4), ("ancestral", 40), ("heun", 20)])
def test_a_strip_goes_from_noise_to_the_samples_of_its_seed(data, name, steps, tmp_path):
    denoise, sampler = denoiser(-0.2), option("sampler", name, f"sampler.steps={steps}")
    draw = strip(denoise, sampler, data, seed=3)
    rows, titles = draw.args
    assert titles[0] == "t = 1.00" and titles[-1] == "sample"
    times = [float(title.removeprefix("t = ")) for title in titles[:-1]]
    assert times == sorted(times, reverse=True) and len(titles) == min(COLUMNS, steps + 1)
    made = as_pictures(generate(denoise, sampler, data.shape, IMAGES, 3, IMAGES).samples, data)
    last = torch.stack([pictures[-1] for _, pictures in rows])
    assert (last.int() - made.int()).abs().max() <= 1  # other chunks, so they differ by rounding
    assert rows[0][1][0].float().std() > 2 * rows[0][1][-1].float().std()  # noise first
    draw(tmp_path / "strip.png")
    assert (tmp_path / "strip.png").stat().st_size > 5000


def test_samples_that_are_no_numbers_are_refused(data):
    with pytest.raises(ConfigError, match="sample"):
        strip(denoiser(float("nan")), option("sampler", "ddim", "sampler.steps=4"), data, seed=0)
