"""The row `data`, of few images and without the network; what it finds is not asserted."""

import torch

from difflab.data import Pixels
from difflab.runs.benchmarks.data import BATCH, delivered, sources, write


def test_the_same_pictures_are_delivered_from_files_and_from_shards(tmp_path):
    write(tmp_path, 4 * BATCH)
    read = sources(tmp_path, 4 * BATCH)
    for one in read.values():
        one.setup()
    files, shards = read["JPEG files"], read["shards"]
    assert isinstance(files.train.pixels, Pixels) and isinstance(shards.train.pixels, Pixels)
    assert isinstance(read["memory"].train.pixels, torch.Tensor)
    assert torch.equal(files.train.pixels[:BATCH], shards.train.pixels[:BATCH])
    assert all(delivered(one, BATCH) > 0 for one in read.values())
