"""The first pass over a config: what is let through, and that a default never refuses itself."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict

from difflab.errors import ConfigError
from difflab.runs.paths import CONFIGS
from difflab.runs.validate import validate


def checked(*overrides: str) -> None:
    """The first pass of `python train.py OVERRIDES`."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", ["name=test", *overrides], return_hydra_config=True)
    choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
    with open_dict(cfg):
        del cfg.hydra
    validate(cfg, "train", choices)


@pytest.mark.parametrize(
    "override",
    [
        "optim.lr=1",
        "trainer.gradient_clip_val=null",
        "trainer.gradient_clip_val=0",
        "trainer.devices=auto",
        "trainer.devices=[0,1]",
        "trainer.devices=-1",
        "trainer.fast_dev_run=3",
        "trainer.max_epochs=2",
        "trainer.max_time=00:01:00:00",
        "trainer.limit_val_batches=0",
        "trainer.limit_train_batches=0.5",
        "+trainer.default_root_dir=elsewhere",
        "sampler.steps=null",
        "sampler.steps=1000",
        "metrics.every=null",
        "metrics.images=null",
        "model.attention=[]",
        "schedule.T=21 sampler.steps=21",
        "schedule=cosine schedule.T=2 sampler.steps=2",
        "tags=[a,b]",
        "cache=elsewhere",
        "logger=wandb logger.mode=disabled",
        "seed=9223372036854775807",
        "trainer=ddp trainer.devices=4",
        "experiment=digits_long model.channels=16",
    ],
)
def test_what_can_run_is_let_through(override):
    checked(*override.split())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=true", r"optim\.lr: true; allowed are numbers"),
        ("sampler.clip=null", r"sampler\.clip: null; allowed are true or false"),
        ("schedule.T=21 sampler.steps=22", r"sampler\.steps: 22; allowed are 1 to schedule\.T = 21"),
        ("schedule=linear schedule.beta_first=0.5 schedule.T=400", r"schedule\.T: 400; .* allowed are more than 500"),
        ("trainer.devices=[]", r"trainer\.devices: \[\]; allowed are auto"),
        ("trainer.devices=two", r"trainer\.devices: two; allowed are auto"),
        ("trainer.devices=true", r"trainer\.devices: true; allowed are auto"),
        ("+sampler.churn=1", r"sampler\.churn: unknown; allowed are grid, steps, clip, eta"),
        (
            "+likelihood.estimate.stepz=2",
            r"likelihood\.estimate\.stepz: unknown; did you mean likelihood\.estimate\.steps",
        ),
        ("+anything=1", r"anything: unknown; allowed are name, seed"),
        ("experiment=digits_long model=mlp", r"model\.channels: unknown; allowed are c_noise, width"),
        ("tags=5", r"tags: 5; allowed are lists"),
        ("~seed", r"data\.seed: .*seed"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as refusal:
        checked(*override.split())
    assert "\n" not in str(refusal.value)
