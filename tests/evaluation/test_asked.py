import pytest
import torch
from torch import nn

from difflab.condition import Classes, Condition, Conditioning, Unconditional
from difflab.errors import ConfigError
from difflab.evaluation import Asked, check_labels, conditioned, generate
from difflab.evaluation.asked import whole_numbers
from difflab.evaluation.likelihood import held_out_and_test
from difflab.evaluation.score import Scorer
from difflab.guidance import ClassifierFree
from difflab.likelihood import Bound, Exact
from difflab.prediction import X0, Denoiser
from difflab.process import Posterior
from tests.conftest import option

CHUNK = 4
DDIM = option("sampler", "ddim", "sampler.steps=5", "sampler.clip=false")


class OfItsClass(nn.Module):
    """x0_hat is the class number of each image over 10, and -1 where it is not told; it keeps what it was told."""

    def __init__(self, self_condition: bool = False) -> None:
        super().__init__()
        self.self_condition, self.seen = self_condition, []
        self.nothing = nn.Parameter(torch.zeros(()))

    def c_noise(self, schedule, t):
        return t

    def forward(self, x, c_noise, condition=None):
        self.seen.append(condition)
        classes = torch.full((len(x),), -10.0) if condition is None else condition.classes
        return (classes / 10).reshape(-1, 1, 1, 1).expand_as(x)


def denoiser(network: nn.Module, conditioning: Conditioning) -> Denoiser:
    return Denoiser(network, option("schedule", "cosine", "schedule.T=16"), X0(), conditioning).eval()


@pytest.fixture(scope="module")
def data():
    digits = option("data", "digits")
    digits.setup()
    return digits


def test_samples_are_of_the_classes_in_turn_whatever_the_chunks(data):
    denoise = denoiser(OfItsClass(), Classes(0.1))
    asked = Asked(denoise.conditioning, data, 0, [7, 2, 9])
    wanted = torch.tensor([7, 2, 9, 7, 2, 9, 7, 2, 9, 7]) / 10
    for chunk in (3, CHUNK, 16):
        found = generate(denoise, DDIM, data.shape, 10, 0, chunk, asked=asked).samples
        torch.testing.assert_close(found[:, 0, 3, 3], wanted)
    torch.testing.assert_close(
        generate(denoise, DDIM, data.shape, 3, 0, CHUNK, first=5, asked=asked).samples[:, 0, 0, 0], wanted[5:8]
    )


def test_classes_that_are_not_asked_for_come_as_often_as_in_the_data(data):
    """A class is a function of (seed, i); shares within four standard errors."""
    asked = Asked(Classes(0.1), data, 3)
    labels = asked.labels(range(4000))
    assert torch.equal(asked.labels(range(100, 200)), labels[100:200])
    assert not torch.equal(Asked(Classes(0.1), data, 4).labels(range(4000)), labels)
    share = torch.bincount(data.train.labels, minlength=10) / len(data.train)
    error = (share * (1 - share) / 4000).sqrt()
    assert ((torch.bincount(labels, minlength=10) / 4000 - share).abs() < 4 * error).all()


def test_an_unconditional_network_is_called_as_before(data):
    network = OfItsClass()
    asked = Asked(Unconditional(), data, 0)
    assert asked.labels(range(3)) is None
    generate(denoiser(network, Unconditional()), DDIM, data.shape, 2, 0, CHUNK, asked=asked)
    assert set(network.seen) == {None}


@pytest.mark.parametrize(
    ("conditioning", "classes", "said"),
    [
        (Unconditional(), [1], r"classes: \[1\]; this run's network was trained without classes"),
        (Classes(0.0), [3, 10], r"classes: 10; allowed are one or more of 0 to 9"),
        (Classes(0.0), [-1], r"classes: -1; allowed"),
        (Classes(0.0), [], r"classes: \[\]; allowed"),
    ],
)
def test_classes_that_there_are_not_are_refused(data, conditioning, classes, said):
    with pytest.raises(ConfigError, match=said):
        Asked(conditioning, data, 0, classes)


def test_a_chunk_remembers_nothing_of_the_one_before(data):
    """The first call of each chunk is told no estimate, every other one that of the call before."""
    network = OfItsClass(self_condition=True)
    denoise = denoiser(network, Classes(0.1))
    generate(denoise, DDIM, data.shape, 2 * CHUNK, 0, CHUNK, asked=Asked(denoise.conditioning, data, 0, [5]))
    before = [condition.x0 for condition in network.seen]
    assert [x0 is None for x0 in before] == [True, False, False, False, False] * 2
    assert all(torch.all(x0 == 0.5) for x0 in before if x0 is not None)


def test_bits_are_those_given_the_label(data):
    """Where x0_hat is a function of the class alone, every term is that of the difference to it, in closed form."""
    denoise = denoiser(OfItsClass(), Classes(0.1))
    _, test = held_out_and_test(denoise, data, 12)
    assert torch.equal(test.condition.classes, data.test.labels[:12])
    bound = Bound(denoise.schedule, Posterior(), False, data.levels)
    scorer = Scorer(denoise, Exact(), [bound], 0, 64)
    found = scorer.score(test, "test", scorer.plan(test)).totals[0, :, 0]
    x0_hat = (data.test.labels[:12] / 10).reshape(-1, 1, 1, 1).expand_as(test.x0)
    terms = [bound.terms(test.x0, x0_hat, torch.full((12,), k)) for k in range(1, 17)]
    torch.testing.assert_close(found, torch.stack(terms).sum(0))


def test_an_estimate_without_labels_is_that_of_a_network_told_nothing(data):
    images = data.scaling.encode(data.test.pixels[:3])
    told = conditioned(denoiser(OfItsClass(), Classes(0.1)), data, images, None, "x")
    assert isinstance(told.condition, Condition) and told.condition.classes.tolist() == [-1, -1, -1]
    with pytest.raises(ConfigError, match=r"labels: none; allowed are class numbers"):
        conditioned(denoiser(OfItsClass(), Classes(0.0)), data, images, None, "x")


@pytest.mark.parametrize(("scale", "calls"), [(1.0, 5), (2.0, 10)])
def test_a_guided_call_counts_twice(data, scale, calls):
    """As often as the network sees a sample."""
    network = OfItsClass()
    denoise = denoiser(network, Classes(0.1))
    asked = Asked(denoise.conditioning, data, 0, [5], ClassifierFree(scale, 0.0, float("inf"), 0.0))
    assert generate(denoise, DDIM, data.shape, CHUNK, 0, CHUNK, asked=asked).calls == calls
    assert sum(len(condition.classes) for condition in network.seen) == calls * CHUNK


@pytest.mark.parametrize("classes", [3, [3.0], [True], ["3"], "3"])
def test_classes_are_several_whole_numbers(classes):
    with pytest.raises(ConfigError, match=r"classes: .*3|classes: \[True\]"):
        whole_numbers(classes)
    assert whole_numbers(torch.tensor([3, 5])) == whole_numbers(range(3, 6, 2)) == [3, 5]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([1, 2, 3], r"labels: list; allowed is a tensor of torch\.int64, \[3\]"),
        (torch.tensor([1, 2]), r"labels: torch\.int64, \(2,\); allowed"),
        (torch.tensor([[1], [2], [3]]), r"labels: torch\.int64, \(3, 1\); allowed"),
        (torch.tensor([1.0, 2.0, 3.0]), r"labels: torch\.float32, \(3,\); allowed"),
        (torch.tensor([0, 9, 10]), r"labels: 10; allowed are class numbers, 0 to 9"),
        (torch.tensor([0, -1, 9]), r"labels: -1; allowed are class numbers, 0 to 9"),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(data, labels, said):
    with pytest.raises(ConfigError, match=said):
        check_labels(labels, 3, data.classes)
    if isinstance(labels, torch.Tensor):
        images = data.scaling.encode(data.test.pixels[:3])
        with pytest.raises(ConfigError, match=said):
            conditioned(denoiser(OfItsClass(), Classes(0.1)), data, images, labels, "x")


def test_labels_of_data_without_classes_have_no_range(data):
    check_labels(torch.tensor([0, 9, 10]), 3, None)
    check_labels(torch.arange(10), 10, data.classes)
