from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from difflab.data.picture import Fit, on_white
from difflab.data.pixels import File
from difflab.errors import ConfigError

PATH = Path("album/picture.png")


def encoded(image, kind="PNG", **options):
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def photo(height, width, channels=3, seed=0):
    """Smooth random colours, as an array [H, W, C]."""
    coarse = np.random.default_rng(seed).integers(256, size=(4, 4, channels), dtype=np.uint8)
    image = Image.fromarray(coarse[..., 0] if channels == 1 else coarse)
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).reshape(height, width, channels)


def read(image, size, channels=3, kind="PNG", **options):
    return fitted(encoded(image, kind, **options), size, channels).transpose(1, 2, 0)


def fitted(content, size, channels):
    height, width = (size, size) if isinstance(size, int) else size
    return Fit(height, width, channels)(File(str(PATH), content))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels_of_the_right_size_are_not_touched(kind):
    pixels = photo(16, 16)
    assert np.array_equal(read(Image.fromarray(pixels), 16, kind=kind), pixels)


@pytest.mark.parametrize(("height", "width"), [(40, 16), (16, 40), (128, 64), (64, 160), (8, 24), (48, 48)])
def test_it_is_torchvision_s_resize_and_centre_crop(height, width):
    picture = Image.fromarray(photo(height, width))
    cropped = center_crop(resize(picture, 16, InterpolationMode.BICUBIC), 16)
    assert abs(read(picture, 16).astype(int) - np.asarray(cropped)).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(41, 16), (7, 100), (5, 5), (1, 1), (1, 300)])
def test_any_shape_becomes_the_square(height, width):
    """A picture whose left and right halves differ is cut in its middle."""
    pixels = np.zeros((height, width), dtype=np.uint8)
    pixels[:, (width + 1) // 2 :] = 255
    pixels[:, width // 2 : (width + 1) // 2] = 128
    given = read(Image.fromarray(pixels), 16, 1).astype(int)
    assert given.shape == (16, 16, 1)
    assert abs(given + given[:, ::-1] - 255).max() <= 2


def test_making_smaller_is_antialiased():
    """A fine chessboard is grey from afar."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert abs(read(Image.fromarray(board), 8, 1).astype(int) - 127).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    pixels = photo(12, 12)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels.transpose(1, 0, 2), 2),
        8: np.rot90(pixels),
    }[orientation]
    assert np.array_equal(read(Image.fromarray(pixels), 12, exif=exif), turned)


def test_a_palette_gives_its_colours():
    picture = Image.fromarray(photo(16, 16)).quantize(8)
    assert picture.mode == "P"
    assert np.array_equal(read(picture, 16), np.asarray(picture.convert("RGB")))


def test_transparent_parts_are_white():
    pixels = photo(8, 8, 4).copy()
    pixels[:4, :, 3], pixels[4:, :, 3] = 0, 255
    given = read(Image.fromarray(pixels, "RGBA"), 8)
    assert (given[:4] == 255).all()
    assert np.array_equal(given[4:], pixels[4:, :, :3])


def test_a_transparent_colour_of_a_palette_is_white():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 2), 1)
    given = read(picture, 4, transparency=0)
    assert given[2, 1].tolist() == [200, 100, 50]
    assert (np.delete(given.reshape(16, 3), 9, axis=0) == 255).all()


def test_grey_becomes_colour_and_colour_grey():
    pixels = photo(8, 8, 1)
    assert np.array_equal(read(Image.fromarray(pixels[..., 0]), 8, 3), pixels.repeat(3, axis=2))
    colour = Image.fromarray(photo(8, 8))
    assert np.array_equal(read(colour, 8, 1)[..., 0], np.asarray(ImageOps.grayscale(colour)))


def test_black_and_white_is_0_and_255():
    picture = Image.fromarray(np.eye(8, dtype=bool))
    assert np.array_equal(read(picture, 8, 1)[..., 0], np.eye(8) * 255)


def test_16_bits_are_scaled_to_8():
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert np.array_equal(read(Image.fromarray(deep), 16, 1)[..., 0], np.arange(256).reshape(16, 16))


def test_pixels_without_a_range_are_refused():
    with pytest.raises(ConfigError, match="mode F"):
        read(Image.fromarray(np.zeros((4, 4), dtype=np.float32)), 4, kind="TIFF")


@pytest.mark.parametrize("size", [(8, 20), (20, 8), (12, 12)])
def test_height_and_width_may_differ(size):
    """The largest part of those proportions, in the middle, is what the size shows."""
    height, width = size
    pixels = photo(2 * height, 4 * width)
    middle = pixels[:, width:-width]
    given = read(Image.fromarray(pixels), size)
    wanted = Image.fromarray(np.ascontiguousarray(middle)).resize((width, height), Image.Resampling.BICUBIC)
    assert given.shape == (height, width, 3)
    assert abs(given.astype(int) - np.asarray(wanted)).max() <= 4  # at the edges, whose outside only one of them knows


def test_opacity_is_kept_where_there_is_a_channel_for_it():
    pixels = photo(8, 8, 4).copy()
    pixels[..., 3] = np.arange(64).reshape(8, 8) * 4
    transparent = Image.fromarray(pixels, "RGBA")
    assert np.array_equal(read(transparent, 8, 4), pixels)
    grey = np.asarray(transparent.convert("RGB").convert("L"))
    assert np.array_equal(read(transparent, 8, 2), np.stack([grey, pixels[..., 3]], 2))
    for channels in (2, 4):  # what has none is opaque
        assert (read(Image.fromarray(pixels[..., :3]), 8, channels)[..., -1] == 255).all()


def test_a_transparent_colour_of_a_palette_has_no_opacity():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 2), 1)
    given = read(picture, 4, 4, transparency=0)
    assert given[2, 1].tolist() == [200, 100, 50, 255]
    assert (np.delete(given.reshape(16, 4), 9, axis=0)[:, 3] == 0).all()


def test_16_bit_grey_fills_every_kind():
    deep = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    wanted = np.arange(256).reshape(16, 16)
    for channels in (1, 2, 3, 4):
        given = read(deep, 16, channels)
        assert all(np.array_equal(given[..., c], wanted) for c in range(3 if channels > 2 else 1))


FILMS = [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]


@pytest.mark.parametrize(("kind", "options"), FILMS, ids=[kind for kind, _ in FILMS])
def test_films_and_pages_are_refused_and_stills_are_not(kind, options):
    frames = [Image.fromarray(photo(8, 8, seed=i)) for i in range(3)]
    assert read(frames[0], 8, kind=kind, **options).shape == (8, 8, 3)
    film = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with pytest.raises(ConfigError, match=f"data.root: {PATH} cannot be read .3 frames or pages.; .* one a file"):
        fitted(film, 8, 3)


def test_the_previews_of_a_camera_are_no_film():
    pixels = photo(16, 16)
    shot = encoded(Image.fromarray(pixels), "MPO", save_all=True, append_images=[Image.fromarray(photo(8, 8))])
    with Image.open(BytesIO(shot)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
        assert np.array_equal(fitted(shot, 16, 3).transpose(1, 2, 0), np.asarray(image))


def test_the_square_in_the_middle_is_cut_out_first():
    pixels = photo(40, 30)
    fit = Fit(20, 20, 3, crop=20)
    given = fit(File("x", encoded(Image.fromarray(pixels)))).transpose(1, 2, 0)
    assert np.array_equal(given, pixels[10:30, 5:25])
    cropped = center_crop(Image.fromarray(photo(218, 178)), 140)
    small = Fit(64, 64, 3, 140, Image.Resampling.BILINEAR)
    wanted = np.asarray(resize(cropped, 64, InterpolationMode.BILINEAR))
    assert np.array_equal(small(File("x", encoded(Image.fromarray(photo(218, 178))))).transpose(1, 2, 0), wanted)
    with pytest.raises(ConfigError, match=r"x cannot be read .30x40 pixels, smaller than the square of data.crop = 31"):
        Fit(8, 8, 3, crop=31)(File("x", encoded(Image.fromarray(pixels))))


def test_on_white():
    pictures = torch.tensor([[10, 20, 30, 0], [10, 20, 30, 255], [10, 20, 30, 51]], dtype=torch.uint8)
    shown = on_white(pictures[:, :, None, None])[..., 0, 0]
    assert shown.tolist() == [[255, 255, 255], [10, 20, 30], [206, 208, 210]]


@pytest.mark.parametrize("content", [b"", b"hello, I am a text\n", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_an_image_is_refused_by_its_path(content):
    with pytest.raises(ConfigError, match=f"data.root: {PATH} cannot be read .*not an image.* whole images") as refusal:
        fitted(content, 8, 3)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"])
def test_images_cut_short_are_refused(kind, share):
    content = encoded(Image.fromarray(photo(64, 64)), kind)
    with pytest.raises(ConfigError, match=f"data.root: {PATH} cannot be read") as refusal:
        fitted(content[: int(len(content) * share)], 8, 3)
    assert "\n" not in str(refusal.value)
    assert "0x" not in str(refusal.value)
