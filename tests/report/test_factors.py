"""What sets runs apart: nothing but the settings tells."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.report.factors import ABSENT, OWN, variants
from difflab.report.reading import read
from tests.report.folders import make_run, make_sweep
from tests.report.grids import made_run

FIGURES = {"test/bits_per_dim": 3.0}


def run(name, /, seed=0, typed=(), **settings):
    """A run of these settings that is done; a double underscore is a dot."""
    levels = {field.replace("__", "."): str(value) for field, value in settings.items()}
    return replace(made_run(name, levels, seed, FIGURES), typed=tuple(typed))


def grouping(found):
    """Names of the runs that are done and belong together."""
    return {frozenset(run.name for run in variant.runs) for variant in found[1] if variant.runs}


def test_a_sweep_as_it_is_on_disk(tmp_path):
    """Times that loss=vlb recommends and the offset that schedule=cosine has are no factors of their own."""
    chosen = {"schedule": ["linear", "cosine"], "loss": ["simple", "vlb"]}
    states = {2: ("failed", "why"), 5: ("missing", "")}
    sweep = make_sweep(tmp_path / "s", chosen, states=states, picture=False)
    runs, _ = read([sweep])
    factors, found = variants(runs)
    assert factors == {"schedule": ("linear", "cosine"), "loss": ("simple", "vlb")}
    assert [(variant.name, [run.name for run in variant.runs]) for variant in found] == [
        ("schedule=linear loss=simple", ["0", "1"]),
        ("schedule=linear loss=vlb", ["3", "4"]),
        ("schedule=cosine loss=simple", ["6", "7", "8"]),
        ("schedule=cosine loss=vlb", ["9", "10", "11"]),
    ]
    assert found[1].levels == {"schedule": "linear", "loss": "vlb"}


def test_an_option_that_is_not_typed_is_the_default(tmp_path):
    """Two commands, one of which types what the other has by itself; its learning rate in other digits."""
    make_run(tmp_path / "0", typed=(), picture=False)
    make_run(tmp_path / "1", settings={"schedule": "linear", "optim.lr": "3e-3"}, seed=1, picture=False)
    make_run(tmp_path / "2", settings={"schedule": "cosine"}, picture=False)
    factors, found = variants(read([tmp_path])[0])
    assert factors == {"schedule": ("linear", "cosine")}
    assert [(variant.name, len(variant.runs)) for variant in found] == [("linear", 2), ("cosine", 1)]


def test_an_ablation_is_one_factor_whatever_it_changes(tmp_path):
    """Each of its options overrides several groups and values."""
    chosen = {"ablation": ["objective_simple", "objective_vlb", "objective_score_0", "objective_score_2"]}
    factors, found = variants(read([make_sweep(tmp_path / "s", chosen, seeds=(0, 1), picture=False)])[0])
    assert factors == {"ablation": tuple(chosen["ablation"])}
    assert [len(variant.runs) for variant in found] == [2] * 4


def test_a_value_of_some_options_is_a_factor_where_it_varies_among_them():
    runs = [
        run("0", typed=["loss=simple"], loss="simple"),
        run("1", typed=["loss=score", "loss.power=1"], loss="score", loss__power="1"),
        run("2", typed=["loss=score", "loss.power=2"], loss="score", loss__power="2.0"),
    ]
    factors, found = variants(runs)
    assert factors == {"loss": ("simple", "score"), "loss.power": (ABSENT, "1", "2.0")}
    assert [variant.name for variant in found] == [
        "loss=simple",
        "loss=score loss.power=1",
        "loss=score loss.power=2.0",
    ]
    assert variants(runs[:2])[0] == {"loss": ("simple", "score")}  # what loss.power does, loss does


def test_what_was_typed_and_varies_is_never_hidden_behind_another_field():
    """Two fields changed at once: neither name alone would be the truth."""
    pairs = [("simple", "0.1"), ("vlb", "0.2")]
    runs = [run(loss, loss=loss, optim__lr=lr, typed=[f"loss={loss}", f"optim.lr={lr}"]) for loss, lr in pairs]
    steps = {"trainer__max_steps": "9"}
    runs.append(run("debug", loss="vlb", optim__lr="0.2", debug="quick", typed=["loss=vlb", "debug=quick"], **steps))
    assert list(variants(runs)[0]) == ["loss", "optim.lr"]
    runs[:2] = [replace(one, settings={**one.settings, "trainer.max_steps": "1500"}) for one in runs[:2]]
    factors, found = variants(runs)
    assert factors == {"loss": ("simple", "vlb"), "optim.lr": ("0.1", "0.2"), "debug": (ABSENT, "quick")}
    assert found[2].name == "loss=vlb optim.lr=0.2 debug=quick"
    runs = [run("0", loss="simple"), run("1", loss="vlb", typed=["loss=vlb", "+new.flag=1"], new__flag="1")]
    assert variants(runs)[0] == {"loss": ("simple", "vlb"), "new.flag": (ABSENT, "1")}


def test_an_experiment_and_the_same_typed_out_are_one_choice(tmp_path):
    """Only a shorthand that stands for a difference is a factor."""
    make_run(tmp_path / "0", settings={"experiment": "digits_long"}, picture=False)
    typed = {"model.channels": "48", "model.blocks": "2", "trainer.max_steps": "6000", "ema.decay": "0.9995"}
    make_run(tmp_path / "1", settings=typed | {"name": "other"}, seed=1, picture=False)
    assert variants(read([tmp_path])[0])[0] == {}
    make_run(tmp_path / "2", settings={"experiment": "ncsn_digits"}, seed=2, picture=False)
    assert len(variants(read([tmp_path])[0])[1]) == 2


def test_a_seed_that_is_the_run_s_own_sets_nothing_apart():
    """data.seed is the run's seed where nobody says otherwise; a sweep that fixes it is another choice."""
    runs = [run(str(s), s, data__seed=s, typed=["loss=vlb"], loss="vlb") for s in range(3)]
    assert variants(runs)[0] == {}
    fixed = [run(f"f{s}", s, data__seed=0, typed=["data.seed=0"], loss="vlb") for s in range(3)]
    said = [run(f"o{s}", s, data__seed=s, typed=["data.seed=${seed}"], loss="vlb") for s in range(3)]
    factors, found = variants([*runs, *fixed, *said])
    assert factors == {"data.seed": (OWN, "0")}
    assert [len(variant.runs) for variant in found] == [6, 3]


def test_who_failed_or_has_not_begun_stands_with_those_who_did_not(tmp_path):
    chosen = {"schedule": ["linear", "cosine"], "loss": ["simple", "vlb"]}
    failed = dict.fromkeys((3, 4, 5), ("failed", "the loss is nan"))
    sweep = make_sweep(
        tmp_path / "s", chosen, states=failed | {2: ("failed", "why"), 8: ("missing", "")}, picture=False
    )
    found = variants(read([sweep])[0])[1]
    assert [(len(v.runs), len(v.lost)) for v in found] == [(2, 1), (0, 3), (2, 1), (3, 0)]
    assert found[1].levels == {"schedule": "linear", "loss": "vlb"}


def test_a_value_that_nobody_typed_splits_runs_of_one_option():
    """From an experiment, or a default that has changed; but not a field that an earlier version had not."""
    factors, found = variants(
        [
            run("0", sampler="ddim", sampler__steps=50),
            run("1", sampler="ddim", sampler__steps=20, watchdog__skip=0, decoder="discretised"),
            run("2", seed=1, sampler="ddim", sampler__steps=20),
        ]
    )
    assert factors == {"sampler.steps": ("50", "20")}
    assert [[run.name for run in variant.runs] for variant in found] == [["0"], ["1", "2"]]
    earlier = [run("0", loss="simple"), run("1", loss="simple", times__power=1), run("2", loss="vlb", times__power=2)]
    assert variants(earlier)[0] == {"loss": ("simple", "vlb")}


@pytest.mark.parametrize(
    "field",
    [
        *("seed", "name", "outputs", "tags", "notes", "cache", "resume", "replay", "logger", "logger.mode"),
        *("sweep.objective", "sweep", "hydra.job.num", "hydra/launcher", "study", "trainer", "trainer.accelerator"),
        *("trainer.devices", "trainer.strategy._target_", "data.workers", "data.root", "checkpoints.every"),
    ],
)
def test_fields_that_change_no_figure_set_nothing_apart(field):
    runs = [run(str(i), typed=[f"{field}={i}"], **{field.replace(".", "__"): f"x{i}"}) for i in (0, 1)]
    factors, found = variants(runs)
    assert factors == {}
    assert [(variant.name, variant.levels, len(variant.runs)) for variant in found] == [("as it is", {}, 2)]


def test_fields_of_the_trainer_that_do_change_figures_count():
    runs = [run(str(i), trainer__max_steps=i, trainer="default") for i in (1, 2)]
    assert variants(runs)[0] == {"trainer.max_steps": ("1", "2")}


def test_a_seed_by_another_name_is_no_factor():
    runs = [run(f"{loss}{i}", seed=i, loss=loss, generation__seed=i) for loss in ("simple", "vlb") for i in (0, 1)]
    assert variants(runs)[0] == {"loss": ("simple", "vlb")}
    runs = [run(f"{g}{i}", seed=i, generation__seed=g) for g in (0, 1) for i in (0, 1)]
    assert variants(runs)[0] == {"generation.seed": ("0", "1")}


def test_a_run_that_was_made_twice_stays_twice():
    _, found = variants([run("a"), run("b")])
    assert [run.name for run in found[0].runs] == ["a", "b"]


def test_nothing_is_done_yet():
    assert variants([]) == ({}, ())
    assert variants([replace(run("0", loss="vlb"), state="running"), replace(run("1"), figures={})]) == ({}, ())


@pytest.mark.parametrize(
    ("levels", "names"),
    [
        (["<script>alert(1)</script>", "b"], ["<script>alert(1)</script>", "b"]),
        (["Zwölf", "日本"], ["Zwölf", "日本"]),
        (["two\nlines", "two lines"], ["two lines", "two lines (2)"]),
        (["a" * 9999, "a" * 9998], ["a" * 59 + "…", "a" * 59 + "… (2)"]),
        (["", "null"], ["''", "null"]),
    ],
)
def test_names_are_short_lines_and_their_own(levels, names):
    factors, found = variants([run(str(i), model=level) for i, level in enumerate(levels)])
    assert [variant.name for variant in found] == names
    assert factors == {"model": tuple(levels)}  # the levels are whole


def test_one_field_that_some_lack():
    _, found = variants([run("0", loss="a"), run("1", loss="a", new__flag="1", typed=["+new.flag=1"])])
    assert [variant.name for variant in found] == ["without new.flag", "1"]


FIELDS = ("loss", "schedule", "loss.power", "optim.lr", "sampler.steps", "name", "trainer.devices")
LEVELS = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["1", "1.0", "2", "x"]))


@st.composite
def some_runs(draw):
    """Runs with any settings, of which any were typed."""
    made = []
    for i in range(draw(st.integers(0, 7))):
        levels = draw(LEVELS)
        typed = [f"{field}={levels[field]}" for field in levels if draw(st.booleans())]
        seed, state = draw(st.integers(0, 2)), draw(st.sampled_from(["done", "done", "failed"]))
        made.append(replace(made_run(str(i), levels, seed, FIGURES, state=state), typed=tuple(typed)))
    return made


@given(some_runs())
def test_every_run_that_is_done_is_in_one_variant_with_its_levels(runs):
    factors, found = variants(runs)
    assert sorted(run.name for variant in found for run in variant.runs) == [run.name for run in runs if run.done]
    assert len({variant.name for variant in found}) == len({tuple(variant.levels.items()) for variant in found})
    for field, levels in factors.items():
        assert len(levels) > 1
        assert set(levels) == {variant.levels[field] for variant in found}
    for variant in found:
        for run in variant.runs:
            for field, level in variant.levels.items():
                own = run.settings.get(field, ABSENT)
                assert own == level or float(own) == float(level)


@given(some_runs(), st.randoms())
def test_the_order_of_runs_changes_no_group(runs, random):
    other = random.sample(runs, len(runs))
    assert grouping(variants(other)) == grouping(variants(runs))
