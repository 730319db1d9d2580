import pytest
import torch

from difflab.losses import Normal, Projection, Rademacher, Sphere

NORMAL = torch.randn(40_000, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("projection", [Normal(), Rademacher(), Sphere()], ids=lambda p: type(p).__name__)
def test_directions_have_mean_0_and_the_identity_as_second_moment(projection):
    """Each entry within 5 standard errors; on the unit sphere the diagonal would be 1/6."""
    assert isinstance(projection, Projection)
    v = projection(NORMAL)
    assert v.shape == NORMAL.shape and v.dtype == NORMAL.dtype
    flat = v.flatten(1)
    assert (flat.mean(0).abs() < 5 / len(flat) ** 0.5).all()
    moments = flat[:, :, None] * flat[:, None]
    error = moments.std(0) / len(flat) ** 0.5
    assert ((moments.mean(0) - torch.eye(6)).abs() <= 5 * error + 1e-12).all()


def test_what_each_is():
    assert Normal()(NORMAL) is NORMAL
    assert set(Rademacher()(NORMAL).unique().tolist()) == {-1.0, 1.0}
    length = Sphere()(NORMAL).flatten(1).norm(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, 6**0.5))
    cosine = torch.nn.functional.cosine_similarity(Sphere()(NORMAL).flatten(1), NORMAL.flatten(1))
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
