"""The page as a file: what is in it, how large it is, and that nobody's text becomes markup."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from difflab.report import page
from difflab.report.compare import compare
from difflab.report.model import Report, Run
from difflab.report.page import charts
from difflab.report.page.config_differences import common, differences
from difflab.report.page.looks import looks
from difflab.report.page.pictures import encoded, pictures
from difflab.report.page.provenance import conditions, provenance
from tests.report.made import made, made_run, undone

SCRIPT, IMAGE = "<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>"
VOID = {"meta", "img", "input", "br", "link", "hr"}


class Elements(HTMLParser):
    """Start tags with their attributes, the text of the page, and whether each element ends where it should."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def written(report: Report, folder: Path) -> str:
    """The page of a report."""
    path = folder / "report.html"
    page.write(report, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("page")
    lost = undone(folder, "18", "failed", "RuntimeError: the loss is nan")
    return made(folder, others=(lost,))


@pytest.fixture(scope="module")
def text(report: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(report, tmp_path_factory.mktemp("file"))


def test_eighteen_runs_stay_small_and_fetch_nothing(text):
    assert len(text.encode()) < 6_000_000
    found = Elements(text)
    assert found.open == []
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(m["content"] for m in found.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy and "http" not in policy
    assert "refresh" not in [meta.get("http-equiv") for meta in found.named("meta")]


def test_every_section_is_there_in_order_with_its_numbers(report, text):
    found = Elements(text)
    sections = [section["id"] for section in found.named("section")]
    assert sections == [
        *("answer", "variants", "means", "effects", "curves", "terms", "samples", "calls", "ema", "cost", "runs"),
        *("lost", "made"),
    ]
    cell = report.cells["test/bits_per_dim"]["schedule=cosine loss=simple"]
    assert f"{cell.mean:.3f} ± {cell.half:.3f} (n = 3)" in found.text
    assert "★ best" in found.text and "≈ not told from the best" in found.text and "like the best" not in found.text
    assert "p > 0.05 by the paired t-test over shared seeds" in found.text
    assert "p: of no difference to the best, Holm-adjusted over all 15 pairs of the column" in found.text
    assert "RuntimeError: the loss is nan" in found.text
    assert "python train.py schedule=linear loss=simple seed=0" in found.text
    assert "samples in each draw" in found.text and "ddim (steps=50, eta=0.0)" in found.text
    assert all(text.count(f'id="figures-{name}"') == 1 for name in ("curves", "terms", "calls", "ema", "cost"))


def test_one_seed_has_no_interval(tmp_path):
    found = Elements(written(made(tmp_path, seeds=(0,), pictures=False), tmp_path))
    assert (
        "±"
        not in re.sub(r"Mean over seeds ± half|a − b ± half", "", found.text).split("Quality against network calls")[0]
    )
    assert "(n = 1)" in found.text and "? not compared" in found.text


def test_what_came_with_runs_is_text(tmp_path):
    first = made_run(tmp_path, 0, "linear", "simple", 0)
    odd = replace(
        first,
        name=SCRIPT,
        settings={**first.settings, "schedule": IMAGE, "loss": "\u2028&<b>"},
        environment={"command": [IMAGE], "commit": SCRIPT, "packages": {SCRIPT: IMAGE}, "machine": IMAGE},
    )
    bad = undone(tmp_path, IMAGE, "failed", SCRIPT)
    report = replace(compare([first, odd, bad], (SCRIPT,), (IMAGE,), command=SCRIPT), title=SCRIPT)
    found = Elements(written(report, tmp_path))
    assert found.open == []
    assert [image for image in found.named("img") if image.get("src")] == []
    assert len(found.named("script")) == 4 + sum(tag == "div" and "data-chart" in a for tag, a in found.tags)
    assert found.text.count(SCRIPT) >= 5 and found.text.count(IMAGE) >= 4


def test_embedded_figures_are_plotlys(text):
    import plotly.graph_objects as go

    for name in ("means-0", "effects", "curves", "terms", "calls", "ema", "cost"):
        start = text.index(f'id="figures-{name}">') + len(f'id="figures-{name}">')
        figures = json.loads(text[start : text.index("</script>", start)])
        assert figures
        for figure in figures.values():
            assert go.Figure(figure).data


@pytest.mark.parametrize(
    "runs",
    [(), ("failed",), ("running", "unreadable"), ("done",), ("figureless",)],
    ids=["none", "failed", "running", "single", "no-metric"],
)
def test_a_page_of_little(tmp_path, runs):
    kinds = {
        "failed": undone(tmp_path, "0", "failed", "it broke"),
        "running": undone(tmp_path, "1", "running", ""),
        "unreadable": Run(tmp_path / "2", "2", "unreadable", "status.json is not JSON"),
        "done": made_run(tmp_path, 3, "linear", "simple", 0),
        "figureless": replace(made_run(tmp_path, 4, "linear", "simple", 0), figures={"train/steps": 3}),
    }
    report = compare([kinds[kind] for kind in runs], (), ("here",))
    found = Elements(written(report, tmp_path))
    assert found.open == []
    assert all(run.reason in found.text for run in report.runs)
    refresh = [meta for meta in found.named("meta") if meta.get("http-equiv") == "refresh"]
    assert [meta["content"] for meta in refresh] == (["30"] if "running" in runs else [])


@pytest.mark.slow
def test_two_hundred_runs_stay_within_the_limit(tmp_path):
    lost = [undone(tmp_path, f"lost {i}", "failed", "it broke") for i in range(8)]
    report = made(tmp_path, [f"s{i}" for i in range(8)], [f"l{i}" for i in range(8)], (0, 1, 2), others=lost)
    assert len(report.runs) == 200
    text = written(report, tmp_path)
    assert len(text.encode()) < 15_000_000
    assert len(re.findall("<template id=", text)) == 200


def test_other_conditions_are_pointed_out(tmp_path):
    runs = [made_run(tmp_path, i, "linear", "simple", i, pictures=False) for i in range(3)]
    other = {**runs[2].environment, "packages": {"torch": "2.13.0"}, "commit": "another"}
    odd = replace(
        runs[2],
        environment=other,
        settings={**runs[2].settings, "sampler.eta": "1.0"},
        figures={**runs[2].figures, "test/fd_classifier_samples": 100, "train/steps": 900},
    )
    found = Elements(written(compare([*runs[:2], odd], (), ("here",)), tmp_path))
    assert "torch differs: 2.14.1 (2 runs); 2.13.0 (1 run)" in found.text
    assert "commit differs" in found.text and "machine differs" not in found.text
    assert "samples in each draw differs: 360 (2 runs); 100 (1 run)" in found.text
    assert "steps trained differs: 1,500 (2 runs); 900 (1 run)" in found.text
    assert "sampler differs" not in found.text, "it is the factor of the report"


def test_settings_that_are_no_factor_are_conditions():
    first = made_run(Path(), 0, "linear", "simple", 0, pictures=False)
    longer = replace(first, path=Path("1"), name="1", seed=1, settings={**first.settings, "trainer.max_steps": "3000"})
    report = replace(compare([first, longer], (), ("here",)), factors={})
    assert [fact.what for fact in conditions(provenance(report))] == ["trainer.max_steps"]


def test_a_seed_of_the_data_is_told_where_it_is_not_the_runs_own():
    runs = [made_run(Path(), i, "linear", "simple", i, pictures=False) for i in range(3)]

    def values(seeds: Sequence[str]) -> list[str]:
        own = [replace(r, settings={**r.settings, "data.seed": seed}) for r, seed in zip(runs, seeds, strict=True)]
        told = provenance(replace(compare(own, (), ("here",)), factors={}))["Settings"]
        return [value for fact in told if fact.what == "data" for value, _ in fact.values]

    assert values("012") == ["digits (batch_size=128)"]
    assert values("000") == ["digits (batch_size=128, seed=0)"]
    assert values("007")[-1] == "digits (batch_size=128, seed=7)"


def test_a_config_is_told_by_its_levels_and_by_what_else_sets_it_apart(tmp_path):
    runs = [made_run(tmp_path, i, schedule, "vlb", i // 2, pictures=False) for i, schedule in enumerate("abab")]
    more = replace(runs[3], settings={**runs[3].settings, "schedule.power": "1", "ema.decay": "0.9"})
    every = [*runs[:3], more]
    assert differences(runs[0], common(every), {"schedule"}) == []
    assert differences(more, common(every), {"schedule"}) == [("ema.decay", "0.9", "0.999")]
    tied = differences(runs[0], common(runs), ())
    assert tied == [("schedule", "a", "equally common: a, b")]
    assert differences(undone(tmp_path, "9", "failed", ""), common(every), {"schedule"}) == []
    found = Elements(written(compare(runs, (), ("here",)), tmp_path))
    assert found.text.count("factor this run schedule a") == found.text.count("factor this run schedule b") == 2
    assert found.text.count("Beside these and the seed, each field has its most common value.") == 4


def test_chains_of_different_length_have_the_same_bits_for_each_unit_of_time(tmp_path):
    runs = []
    for i, n in enumerate((10, 1000)):
        run = made_run(tmp_path, i, "linear", "simple", 0, pictures=False)
        halves = ((1, n // 2, 2.0), (n // 2 + 1, n, 1.0))
        runs.append(replace(run, terms=halves, settings={**run.settings, "schedule.T": str(n)}))
    report = compare(runs, (), ("here",))
    chart = charts.terms(report, looks(report.variants, report.factors))
    short, long = chart.figures[""].data
    assert list(short.y) == list(long.y) == [4.0, 2.0]
    assert max(short.x) < 1 and max(long.x) < 1 and chart.figures[""].layout.xaxis.title.text == "t = k / T"


def test_runs_of_one_seed_are_one_draw():
    seeds = (0, 0, 1)
    runs = [made_run(Path(), i, "linear", "simple", seed, pictures=False) for i, seed in enumerate(seeds)]
    report = compare(runs, (), ("here",))
    look = looks(report.variants, report.factors)
    assert "mean of 2 seeds" in charts.curves(report, look).figures["train/loss"].data[-1].hovertemplate
    assert charts.network_calls(report, look).table.rows[0][-1] == "2"
    assert {stretch: len(t) for stretch, t in [("all", charts.terms(report, look).figures[""].data)]} == {"all": 1}


def test_a_single_seed_is_hollow_without_a_bar_and_not_joined_to_others():
    runs = [made_run(Path(), i, "linear", "simple", i, pictures=False) for i in range(2)]
    few = replace(runs[1], evaluations=[told for told in runs[1].evaluations if told["test/network_calls"] != 100])
    report = compare([runs[0], few], (), ("here",))
    chart = charts.network_calls(report, looks(report.variants, report.factors))
    for trace in next(iter(chart.figures.values())).data:
        at = dict(zip(trace.x, zip(trace.y, trace.marker.symbol, trace.error_y.array, strict=True), strict=True))
        assert at[100.0][1] == "circle-open" and at[100.0][2] is None
        assert at[50.0][1] == "circle" and at[50.0][2] > 0
        assert list(trace.x)[-3:] == [50.0, None, 100.0]


def test_the_run_s_own_evaluation_is_a_point_among_those_that_came_later():
    run = made_run(Path(), 0, "linear", "simple", 0, pictures=False)
    sampler = {"_target_": "difflab.samplers.DDIM", "eta": 0.0}

    def told(steps, ema, **metrics):
        settings = {"sampler": sampler | {"steps": steps}, "ema": ema, "metrics": {"draws": 5} | metrics}
        return {"settings": settings, "test/network_calls": steps, "test/fd_classifier": 100.0 / steps}

    own = told(50, {"decay": 0.999}, likelihood=True)
    later = [told(steps, {"length": None}, likelihood=False) for steps in (5, 10)]
    other = told(20, {"length": None}, draws=1)
    report = compare([replace(run, evaluations=(own, *later, other))], (), ("here",))
    chart = charts.network_calls(report, looks(report.variants, report.factors))
    (trace,) = next(iter(chart.figures.values())).data
    assert [x for x in trace.x if x is not None] == [5.0, 10.0, 50.0]


def test_losses_of_different_kinds_are_not_compared_first(report):
    chart = charts.curves(report, looks(report.variants, report.factors))
    assert next(iter(chart.figures)) == "val/bits_per_dim"
    assert "different scales" in chart.figures["train/loss"].layout.meta["label"]
    same = compare([run for run in report.runs if run.settings.get("loss") == "vlb"], (), ("here",))
    chart = charts.curves(same, looks(same.variants, same.factors))
    assert next(iter(chart.figures)) == "train/loss"
    assert "different scales" not in chart.figures["train/loss"].layout.meta["label"]


def test_an_effect_says_in_how_many_settings_it_was_seen():
    seeds = range(2)
    choices = [("linear", "simple"), ("cosine", "simple"), ("linear", "vlb")]
    runs = [
        made_run(Path(), 2 * i + seed, *choice, seed, pictures=False)
        for i, choice in enumerate(choices)
        for seed in seeds
    ]
    told = charts.effects(compare(runs, (), ("here",)))
    hover = [text for trace in told.figures["test/bits_per_dim"].data for text in trace.text or ()]
    assert "over 1 of 2 settings of the other factors: loss=simple" in hover[0]
    assert "1 of 2" in told.table.rows[0] and "at 5%" in told.caption


def test_pictures_have_their_own_pixels_and_broken_ones_are_told(tmp_path):
    run = made_run(tmp_path, 0, "linear", "simple", 0)
    assert encoded(run.pictures[1500], 512)[2:] == (73, 73)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    found, problems = pictures([replace(run, pictures={**run.pictures, 2000: tmp_path / "broken.png"})])
    assert sorted(found["0"]) == [500, 1000, 1500]
    assert len(problems) == 1 and "broken.png" in problems[0]
