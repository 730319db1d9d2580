import math

import pytest
import torch

from difflab.models import CosinesFirst
from difflab.models.time_embedding import TimeEmbedding


def test_those_of_improved_ddpm_are_cosines_first_at_frequencies_that_end_above_a_ten_thousandth():
    embedding, heard = TimeEmbedding(8, 16, CosinesFirst()), []
    embedding.mlp.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    embedding(torch.tensor([0.0, 3.0, 999.0]))
    for row, c_noise in zip(heard[0].tolist(), (0.0, 3.0, 999.0), strict=True):
        angles = [c_noise * 10000 ** (-i / 4) for i in range(4)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        assert row == pytest.approx(expected, abs=1e-4)
