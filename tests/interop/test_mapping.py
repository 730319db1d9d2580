import pytest
import torch
from torch import nn

from difflab.errors import ConfigError
from difflab.interop.mapping import Source, divided, matched


@pytest.fixture
def network():
    return nn.ModuleDict({"qkv": nn.Linear(2, 6), "norm": nn.GroupNorm(1, 4), "out": nn.Linear(3, 2, bias=False)})


@pytest.fixture
def state():
    names = {f"{part}.{kind}": (2, 2) if kind == "weight" else (2,) for part in "qkv" for kind in ("weight", "bias")}
    names |= {"n.weight": (4,), "n.bias": (4,), "o": (2, 3, 1)}
    return {name: torch.randn(shape) for name, shape in names.items()}


SOURCES = [("qkv", ["q", "k", "v"]), ("norm", ["n"]), Source("out.weight", ["o"], lambda w: w[..., 0]), ("no", ["x"])]


def test_layers_are_put_together_and_weights_changed(network, state):
    found = matched(network, state, SOURCES)
    assert list(found) == list(network.state_dict())
    network.load_state_dict(found)
    x = torch.randn(5, 2)
    apart = [x @ state[f"{part}.weight"].T + state[f"{part}.bias"] for part in "qkv"]
    torch.testing.assert_close(network["qkv"](x), torch.cat(apart, dim=1))
    assert torch.equal(found["out.weight"], state["o"][:, :, 0])


def test_weights_are_copies_of_the_networks_dtype(network, state):
    found = matched(network, {name: weight.half() for name, weight in state.items()}, SOURCES)
    assert {weight.dtype for weight in found.values()} == {torch.float32}
    found["norm.weight"].zero_()
    assert state["n.weight"].any()


def test_all_that_does_not_fit_is_listed_at_once(network, state):
    del state["k.bias"], state["o"]
    state |= {"more": torch.zeros(1), "n.bias": torch.zeros(5), "table": torch.zeros(1)}
    with pytest.raises(ConfigError) as refusal:
        matched(network, state, SOURCES, without={"table"})
    assert str(refusal.value) == (
        "weights: missing: qkv.bias (k.bias), out.weight (o); left over: more; "
        "of another shape: norm.bias (5,) instead of (4,); allowed are those of the same architecture"
    )


def test_of_many_names_the_first_are_shown(network, state):
    state |= {f"more{n:02}": torch.zeros(1) for n in range(20)}
    with pytest.raises(ConfigError, match=r"left over: more00, .*, more11 and 8 more; allowed are"):
        matched(network, state, SOURCES)


def test_a_weight_that_nobody_names_is_missing(network, state):
    with pytest.raises(ConfigError, match=r"missing: norm\.weight, norm\.bias; left over: n\.bias, n\.weight;"):
        matched(network, state, [SOURCES[0], SOURCES[2]])


def test_the_way_back_takes_apart(network, state):
    sources = [SOURCES[0], SOURCES[1], ("out", ["o"])]
    own = network.state_dict()
    theirs = divided(own, sources)
    assert theirs.keys() == (state.keys() - {"o"}) | {"o.weight"}
    assert torch.equal(theirs["k.weight"], own["qkv.weight"][2:4])
    again = matched(network, theirs, sources)
    assert all(torch.equal(again[name], weight) for name, weight in own.items())
