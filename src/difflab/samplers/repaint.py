"""Inpainting by a model that was never told of masks: replacement with resampling."""

from jaxtyping import Bool, Float
from torch import Tensor

from difflab.prediction import Denoiser
from difflab.process import between, expand
from difflab.samplers.sampler import Noise, Sampler, Step, Visit, Walk, Watch
from difflab.schedules import Marginal, Schedule


class RePaint:
    """After each step of a sampler the known pixels are drawn from q(x_s | x_0) (Lugmayr et al., 2022, Algorithm 1).

    The step itself sees the known pixels through their noise only, so that one pass fits the others badly to them.
    Every `jump` steps the state is therefore noised again, from x_s to x_t `jump` steps back by q(x_t | x_s), and
    denoised anew: the more often, the nearer the others come to their law given the known ones.

    Args:
        sampler: that takes single steps; solvers of several steps look no further back than one.
        jump: steps of the grid between two returns, and that a return goes back; the paper has 10 of 250.
        resamplings: times that each stretch of `jump` steps is walked; 1 is replacement alone, the paper has 10.

    Raises:
        ValueError: for numbers below 1, and a sampler that walks in a way of its own.
    """

    def __init__(self, sampler: Sampler, jump: int, resamplings: int) -> None:
        for field, value in (("jump", jump), ("resamplings", resamplings)):
            if value < 1:
                raise ValueError(f"repaint.{field}: {value}; allowed are whole numbers from 1")
        if type(sampler).travel is not Sampler.travel:
            raise ValueError(
                f"sampler: {type(sampler).__name__} does not go step by step over its grid, and known pixels are put "
                "in between two steps: allowed are ancestral, ddim, predictor_corrector, dpm_solver, unipc"
            )
        self.sampler, self.jump, self.resamplings = sampler, jump, resamplings

    def moves(self, steps: int) -> list[tuple[int, int]]:
        """The way over a grid of so many times: from which to which, one towards the data or `jump` back."""
        last = steps - 1
        left = dict.fromkeys(range(last, self.jump - 1, -self.jump), self.resamplings - 1)
        found, here = [], 0
        while here < last or left.get(here):
            there = here + 1
            if left.get(here):
                left[here] -= 1
                there = here - self.jump
            found.append((here, there))
            here = there
        return found

    def calls(self, schedule: Schedule) -> int:
        """Network calls for a sample, of samplers that make one a step."""
        return 1 + sum(there > here for here, there in self.moves(len(self.sampler.times(schedule))))

    def complete(
        self,
        denoise: Denoiser,
        schedule: Schedule,
        noise: Noise,
        x0: Float[Tensor, "batch *shape"],
        known: Bool[Tensor, "*mask"],
        watch: Watch | None = None,
    ) -> Float[Tensor, "batch *shape"]:
        """The images with the unknown pixels drawn anew.

        Args:
            denoise, schedule, noise, watch: as for `Sampler.sample`.
            x0: the images, in the model's range; whatever they have at unknown pixels is not looked at.
            known: which pixels are known; broadcasts over x0.
        """
        times = self.sampler.times(schedule)
        at = [Marginal(*(c[i] for c in schedule.marginal(times))) for i in range(len(times))]
        walk = Walk(denoise, schedule, self.sampler.threshold, watch)
        known = known.expand_as(x0)

        def replaced(x: Tensor, at: Marginal) -> Tensor:
            return (expand(at.alpha, x) * x0 + expand(at.sigma, x) * noise().to(x)).where(known, x)

        x = replaced(schedule.prior_std * noise().to(x0), at[0])
        moves = self.moves(len(times))
        for done, (i, j) in enumerate(moves, 1):
            if j > i:
                visit = Visit(at[i], x, walk.call(x, times[i], at[i]))
                step = Step(at[j], at[i], times[i], times[j], 0, len(times), [visit], walk)  # each is a first step
                x = replaced(self.sampler.step(x, visit.prediction, step, noise), at[j])
            else:
                q = between(at[i], at[j])
                x = expand(q.alpha_ts, x) * x + expand(q.var_ts.sqrt(), x) * noise().to(x)
            walk.tell(x, times[j], done / (len(moves) + 1))
        x = x0.where(known, walk.call(x, times[-1], at[-1]).x0)
        walk.tell(x, None, 1.0)
        return x
