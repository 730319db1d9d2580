"""Steps of the Trainer beside others, in turn; what they cost is not asserted."""

from difflab.runs.assemble import denoiser_of
from difflab.runs.benchmarks.networks import bare_step, choices
from difflab.runs.benchmarks.steps import in_turn
from difflab.runs.build import build
from difflab.runs.load import option


def test_every_step_has_one_of_each_other_beside_it():
    data = build(option("data", "swiss_roll", {"seed": 0, "cache": None}, batch_size=4, size=100), "data")
    data.setup()
    denoiser = denoiser_of(choices(model="mlp"), data)
    counted = []
    bare = bare_step(denoiser_of(choices(model="mlp"), data), data)
    found = in_turn(denoiser, {"bare": bare, "count": lambda: counted.append(1)}, data, steps=5, warmup=2)
    assert found.keys() == {"ours", "bare", "count"}
    assert len(found["ours"]) == 5 and len(found["bare"]) == len(found["count"]) == 6
    assert len(counted) == 8  # the last step ends training, and nothing begins after it
    assert all(second > 0 for times in found.values() for second in times)
    assert sum(found["ours"]) > sum(found["count"])
