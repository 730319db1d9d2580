"""Run folders of earlier versions: sections without the keys that came later still build."""

import pytest
import torch
from omegaconf import OmegaConf

from difflab.runs.build import build
from tests.conftest import composed

# The keys of every section that got more of them later.
EARLIER = {
    "data/image_folder": "_target_ root batch_size val_size workers flip seed size channels test_fraction",
    "model/unet": "_target_ c_noise channels multipliers blocks attention heads dropout groups",
    "model/unet_cifar10": "_target_ c_noise channels multipliers blocks attention heads dropout groups",
    "prediction/edm": "_target_",
}
OFFERS = {"shape": (3, 32, 32), "sigma_data": 0.5}


def section(option: str) -> dict:
    group, name = option.split("/")
    return OmegaConf.to_container(composed(f"{group}={name}")[group], resolve=True)


def earlier(option: str) -> dict:
    return {key: value for key, value in section(option).items() if key in EARLIER[option].split()}


def made(option: str, node: dict):
    torch.manual_seed(0)
    with torch.device("meta"):
        return build(node, option.partition("/")[0], **OFFERS)


@pytest.mark.parametrize("option", ["model/unet", "model/unet_cifar10"])
def test_networks_are_those_of_the_option_today(option):
    old, new = made(option, earlier(option)), made(option, section(option))
    assert earlier(option).keys() < section(option).keys()
    assert repr(old) == repr(new)
    assert {k: v.shape for k, v in old.state_dict().items()} == {k: v.shape for k, v in new.state_dict().items()}


def test_a_folder_of_images_is_in_memory_and_its_folders_are_classes():
    data = made("data/image_folder", earlier("data/image_folder"))
    assert (data.wanted, data.memory_gb) == ("auto", float("inf"))


def test_sigma_data_is_that_of_the_data():
    assert made("prediction/edm", earlier("prediction/edm")).sigma_data == 0.5
