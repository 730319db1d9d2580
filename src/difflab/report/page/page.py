"""The page: everything that a report tells, in one file."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from difflab.files import unfinished
from difflab.report.conclusions import conclusions
from difflab.report.model import Report
from difflab.report.page import charts
from difflab.report.page.bundles import bundles
from difflab.report.page.charts import Chart
from difflab.report.page.differences import differences
from difflab.report.page.looks import first_shown, looks
from difflab.report.page.pictures import pictures
from difflab.report.page.provenance import conditions, provenance
from difflab.report.page.runs import details
from difflab.report.page.samples import samples
from difflab.report.page.variants import marks, rows
from difflab.report.page.words import duration, key, number
from difflab.report.words import shown, what_p_is

HERE = Path(__file__).parent
SCRIPTS = ("theme", "libraries", "tables", "figures", "samples", "runs", "print", "start")
RELOAD = 30  # seconds, while runs are at work


def write(report: Report, path: Path) -> None:
    """Make the page.

    Raises:
        OSError: where the file cannot be written.
    """
    text = html(report)
    with unfinished(path) as new:
        new.write_text(text, encoding="utf-8")


def html(report: Report) -> str:
    """The page as text; whatever came with the runs is escaped."""
    environment = Environment(
        loader=PackageLoader("difflab.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "duration": duration, "key": key}
    script = script_of_page()
    found, unreadable = pictures(report.runs)
    look, told = looks(report.variants, report.factors), provenance(report)
    return environment.get_template("page.html.j2").render(
        report=report,
        conclusions=conclusions(report),
        looks=look,
        first=first_shown(report, look),
        rows=rows(report, look),
        marks=marks(report),
        p_means=what_p_is(report),
        means=charts.means(report, look),
        differences=differences(report),
        charts={chart.name: chart for chart in single(report, look)},
        samples=samples(report, found),
        runs=details(report, found),
        lost=[run for run in report.runs if not run.done],
        problems=(*report.problems, *unreadable),
        provenance=told,
        conditions=list(conditions(told)),
        json=embedded,
        shown=shown,
        pictures=Markup(harmless(dumps({p.name: p.uri for own in found.values() for p in own.values()}))),
        bundles=bundles(),
        reload=RELOAD,
        style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def single(report: Report, look: dict[str, Any]) -> Iterator[Chart]:
    """The charts that the report has numbers for, one a section."""
    found = (
        charts.effects(report),
        charts.curves(report, look),
        charts.terms(report, look),
        charts.network_calls(report, look),
        charts.ema_lengths(report, look),
        charts.cost(report, look),
    )
    return (chart for chart in found if chart is not None)


def script_of_page() -> str:
    """All of its JavaScript; the page names its hash, so that no other script runs."""
    parts = [(HERE / "scripts" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n' + "\n".join(parts)


def embedded(chart: Chart) -> Markup:
    """The figures of a chart as JSON that nothing in it can end: the text of a script element is not unescaped."""
    each = ",".join(f"{dumps(name)}:{figure.to_json()}" for name, figure in chart.figures.items())
    return Markup(harmless(f"{{{each}}}"))


def harmless(json: str) -> str:
    """JSON without the signs that mean something in HTML or end a line in JavaScript."""
    signs = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return json.translate(str.maketrans(signs))
