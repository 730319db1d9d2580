"""Films, as Pillow and ffmpeg read them back."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from difflab.errors import ConfigError
from difflab.plots.animation import animate, check_animation
from difflab.plots.frames import picture_frames, point_frames

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

FRAMES = torch.randint(0, 256, (7, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("frames", [FRAMES, FRAMES[:, None], FRAMES[:, None].expand(-1, 3, -1, -1)])
def test_a_gif_has_every_frame_enlarged_and_holds_the_last(frames, tmp_path):
    animate(frames, tmp_path / "new" / "film.gif")
    film = Image.open(tmp_path / "new" / "film.gif")
    assert (film.n_frames, film.size, film.info["loop"]) == (7, (510, 680), 0)
    times, pictures = [], []
    for frame in ImageSequence.Iterator(film):
        times.append(frame.info["duration"])
        pictures.append(np.asarray(frame.convert("L"))[::85, ::85])
    assert times == [50] * 6 + [1000]
    np.testing.assert_array_equal(pictures, FRAMES)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["film.gif"]


def test_large_frames_keep_their_size(tmp_path):
    animate(torch.arange(2, dtype=torch.uint8)[:, None, None].expand(2, 600, 700), tmp_path / "film.gif")
    assert Image.open(tmp_path / "film.gif").size == (700, 600)


def test_an_mp4_has_every_frame_and_a_second_more(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    animate(FRAMES[:, :7], tmp_path / "film.mp4")  # 7 times 85 is odd: a row more
    frames, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4"))
    assert frames == 6 + 20 and seconds > 1
    reader = ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == (510, 596)
    first = np.frombuffer(next(reader), np.uint8).reshape(596, 510, 3)[42:595:85, 42::85, 0]
    assert np.abs(first.astype(int) - FRAMES[0, :7].numpy()).mean() < 12


def test_an_mp4_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"pip install 'difflab\[video\]'"):
        check_animation(".mp4")
    check_animation(".gif")


def test_other_films_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="animation: webm; allowed are gif, mp4"):
        animate(FRAMES, tmp_path / "film.webm")


def test_states_of_images_are_grids():
    states = [torch.full((5, 1, 4, 4), level, dtype=torch.uint8) for level in (3, 200)]
    frames = picture_frames(states)
    assert frames.shape == (2, 3, 11, 16)  # 2 rows of 3, with lines between
    assert [int(f[0, 2, 2]) for f in frames] == [3, 200]


def test_states_of_points_are_scatters_in_one_square():
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    frames = point_frames([5 * points, points, points], ["t = 1.00", "t = 0.50", "t = 0.50"], points)
    assert frames.shape[:2] == (3, 3) and frames.dtype == torch.uint8
    assert torch.equal(frames[1], frames[2]) and not torch.equal(frames[0], frames[1])
    red = [int(((f[0].int() - f[2].int()) > 100).sum()) for f in frames]
    assert red[0] > red[1] > 0  # wide ones cover each other less, and all of them are inside
