import torch

from difflab.schedules import Chain


def test_the_grid_points_are_what_was_given_and_log_alpha_is_linear_between():
    log_abar = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64).log()
    chain = Chain(log_abar)
    grid = torch.tensor([1, 2, 3], dtype=torch.float64) / 3
    torch.testing.assert_close(chain.marginal(grid).alpha ** 2, log_abar.exp())
    middle = chain.marginal(torch.tensor([1.5, 2.5], dtype=torch.float64) / 3).alpha
    torch.testing.assert_close(middle.log(), (log_abar[:-1] + log_abar[1:]) / 4)


def test_it_preserves_variance():
    chain = Chain(-torch.logspace(-6, 2, 50, dtype=torch.float64))
    alpha, sigma, _ = chain.marginal(torch.linspace(chain.t_min, 1, 321, dtype=torch.float64))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), atol=1e-15, rtol=0)
