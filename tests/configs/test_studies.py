"""Every study is one by its interface, from the values of its own file; every experiment's study is that option."""

import pytest
from omegaconf import OmegaConf

from difflab.runs.paths import CONFIGS
from difflab.runs.studies import Study, name_of, study_of
from tests.conftest import composed, option, options

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

STUDIES = [name for name in options("study") if name != "none"]


def of_experiment(name: str) -> Study | None:
    """The study that an experiment chooses."""
    return study_of(composed(f"experiment={name}"))


@pytest.mark.parametrize("name", STUDIES)
def test_an_option_is_a_study_of_its_name(name):
    study = option("study", name, "name=test")
    assert isinstance(study, Study)
    assert isinstance(study.of_sweep, bool)
    assert name_of(study) == name


def test_without_a_study_there_is_none():
    assert study_of(composed("study=none", "name=test")) is None


@pytest.mark.parametrize("name", options("experiment"))
def test_an_experiment_has_the_study_that_it_names(name):
    entries = OmegaConf.load(CONFIGS / "experiment" / f"{name}.yaml").get("defaults", [])
    named = [entry["override /study"] for entry in entries if "override /study" in entry]
    study = of_experiment(name)
    if named:
        assert type(study) is type(option("study", named[0], "name=test"))
    else:
        assert study is None


def test_every_study_belongs_to_an_experiment():
    asked = {name_of(study) for study in map(of_experiment, options("experiment")) if study is not None}
    assert asked == set(STUDIES)
