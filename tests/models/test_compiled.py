"""Networks are one graph to torch.compile, without any branch on numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In a process of its own: the checks of shapes that tests switch on cannot be compiled.
CODE = """
import torch
from hydra import compose, initialize_config_dir
from difflab.condition import Condition
from difflab.runs.build import build
from difflab.runs.paths import CONFIGS

torch.manual_seed(0)
small = {
    "ddpmpp": ["model.channels=8", "model.embedding.channels=8", "model.blocks=1", "model.attention=[4]"],
    "ncsnpp": ["model.channels=8", "model.embedding.channels=8", "model.blocks=1", "model.checkpointing=true"],
    "dit": ["model.width=16", "model.blocks=2"],
}
x, c_noise, told = torch.randn(3, 3, 8, 8), torch.randn(3), Condition(classes=torch.tensor([0, -1, 2]))
with initialize_config_dir(str(CONFIGS), version_base="1.3"):
    for name, overrides in small.items():
        config = compose("train", [f"model={name}", "name=test", *overrides])
        network = build(config.model, "model", shape=(3, 8, 8), classes=3).eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.normal_(0, 0.2)
        torch.compiler.reset()
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        for condition in (None, told):
            assert torch.equal(compiled(x, c_noise, condition), network(x, c_noise, condition)), name
        print(name)
"""


@pytest.mark.slow
def test_the_networks_of_edm_and_the_transformer_are_one_graph():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["ddpmpp", "ncsnpp", "dit"]
