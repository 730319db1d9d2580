"""The ODE of the codes has the closed form of Gaussian data; DDIM nears it, and round trips close, like 1/steps."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.errors import ConfigError
from difflab.runs.load import load_run
from difflab.studies.latent_codes import LatentCodes, slope_of
from difflab.studies.ve_ode import solve
from tests.conftest import gaussian_denoiser, option
from tests.studies.trained import run_folder, script

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

SETTINGS = {
    "steps": [10, 20, 40, 80],
    "images": 8,
    "pairs": 2,
    "between": 5,
    "strip_steps": 10,
    "codes": 3,
    "tolerance": 1e-7,
    "seed": 0,
}
MEAN, STD = 0.3, 0.5


def exact_end(schedule, codes):
    """Of N(MEAN, STD^2) data (x_t - alpha m) / sqrt(alpha^2 s^2 + sigma^2) never changes; then the last denoising."""
    (a1, a0), (s1, s0), _ = schedule.marginal(torch.tensor([1.0, schedule.t_min], dtype=torch.float64))
    kept = (codes - a1 * MEAN) / (a1**2 * STD**2 + s1**2).sqrt()
    x = a0 * MEAN + kept * (a0**2 * STD**2 + s0**2).sqrt()
    return MEAN + a0 * STD**2 / (a0**2 * STD**2 + s0**2) * (x - a0 * MEAN)


@pytest.mark.parametrize("name", ["vp", "geometric"])
def test_the_ode_on_gaussian_data_ends_where_it_must(name):
    denoise = gaussian_denoiser(option("schedule", name), MEAN, STD)
    codes = denoise.schedule.prior_std * torch.randn(
        5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    end = exact_end(denoise.schedule, codes)
    torch.testing.assert_close(solve(denoise, codes, 1e-7), end, atol=1e-4, rtol=0)
    assert float((solve(denoise, codes, 1e-2) - end).abs().max()) > 1e-3  # and the tolerance is what makes it so


def test_ddim_nears_the_ode_like_one_over_steps():
    denoise = gaussian_denoiser(option("schedule", "vp"), MEAN, STD)
    codes = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    end, steps, errors = exact_end(denoise.schedule, codes), [40, 80, 160, 320], []
    for n in steps:
        sampler = option("sampler", "ddim", f"sampler.steps={n}", "sampler.clip=false", "grid=log_snr")
        x = sampler.sample(denoise, denoise.schedule, lambda: torch.zeros_like(codes), start=codes)
        errors.append(float((x - end).square().mean().sqrt()))
    slope, _ = slope_of(steps, errors)
    assert slope == pytest.approx(-1, abs=0.1)


def test_slopes_are_those_of_least_squares():
    steps, errors = [10, 20, 50, 100], [0.3, 0.14, 0.07, 0.031]
    assert slope_of(steps, [2 / n for n in steps]) == pytest.approx((-1, 0), abs=1e-12)
    (slope, _), covariance = np.polyfit(np.log(steps), np.log(errors), 1, cov=True)
    assert slope_of(steps, errors) == pytest.approx((slope, covariance[0, 0] ** 0.5))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The study of an exact denoiser of Gaussian data, and its folder."""
    folder = tmp_path_factory.mktemp("codes")
    code, text = script("train", ["model=oracle_gaussian", "metrics=none", "trainer.accelerator=cpu"], folder)
    assert code == 0, text
    run = load_run(run_folder(folder))
    study = LatentCodes(**SETTINGS)
    study.check(run.parts, run.config)
    return study([run], folder), folder, run


@pytest.mark.slow
def test_with_an_exact_denoiser_all_errors_fall_like_one_over_steps(asked):
    figures, _, _ = asked
    assert figures["latent_codes/ode_slope"] == pytest.approx(-1, abs=0.15)
    trips = [figures[f"latent_codes/round_trip_rms_{n}"] for n in SETTINGS["steps"]]
    assert slope_of(SETTINGS["steps"], trips)[0] < -0.8
    assert figures["latent_codes/round_trip_same_level_80"] > figures["latent_codes/round_trip_same_level_10"]


@pytest.mark.slow
def test_pictures_and_table_are_there(asked):
    figures, folder, _ = asked
    for name in ("errors.png", "interpolations.png"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 300
    with (folder / "latent_codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == SETTINGS["steps"]
    assert float(rows[1]["rms_to_ode"]) == pytest.approx(figures["latent_codes/rms_to_ode_20"], rel=1e-5)


@pytest.mark.slow
def test_strips_begin_and_end_with_what_the_codes_decode_to(asked):
    _, _, run = asked
    strips = LatentCodes(**SETTINGS).strips(run)
    assert strips.drawn.shape == strips.found.shape == (2, 5, 1, 8, 8)
    data = run.parts.data
    x = data.scaling.encode(data.test.values[:4])
    again = run.decode(run.encode(x, steps=10), steps=10)
    ends = data.scaling.picture(data.scaling.decode(again)).unflatten(0, (2, 2))
    assert torch.equal(strips.found[:, [0, -1]], ends)
    assert torch.equal(strips.ends.flatten(0, 1), data.scaling.picture(data.test.values[:4]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": 361}, "study.images: needs 361"),
        ({"steps": [10, 20, 1001]}, "study.steps: 1001; allowed are 2 to"),
        ({"strip_steps": 1001}, "study.strip_steps: 1001; allowed are 2 to"),
    ],
)
def test_what_cannot_be_asked_of_a_run_is_refused_before(asked, changed, message):
    with pytest.raises(ConfigError, match=message):
        LatentCodes(**SETTINGS | changed).check(asked[2].parts, asked[2].config)


@pytest.mark.parametrize(
    ("field", "value"), [("steps", [10, 20]), ("between", 4), ("between", 1), ("tolerance", 1.0), ("codes", 0)]
)
def test_numbers_that_cannot_be_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"study.{field}"):
        LatentCodes(**SETTINGS | {field: value})
