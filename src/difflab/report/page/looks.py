"""How each variant looks in every figure of the page: a colour, a dash and a marker, told apart without colour too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from difflab.report.model import Report, Variant

COLOURS = 8  # the custom properties --c0 ... of style.css
DASHES = {"solid": "", "dash": "7 3", "dot": "2 2.5", "dashdot": "7 2.5 2 2.5", "longdash": "12 3"}
SYMBOLS = {
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "square": "M-3.6-3.6h7.2v7.2h-7.2z",
    "diamond": "M0-5L4.6 0L0 5L-4.6 0z",
    "triangle-up": "M0-4.8L4.7 3.4H-4.7z",
    "x": "M-4.4-2.2L-2.2-4.4L0-2.2L2.2-4.4L4.4-2.2L2.2 0L4.4 2.2L2.2 4.4L0 2.2L-2.2 4.4L-4.4 2.2L-2.2 0z",
    "triangle-down": "M0 4.8L4.7-3.4H-4.7z",
    "cross": "M-4.6-1.6h3v-3h3.2v3h3v3.2h-3v3h-3.2v-3h-3z",
}
MANY = 12  # variants that a figure of lines shows at first
LONGEST = 34  # characters of a name on an axis


@dataclass(frozen=True)
class Look:
    """Of one variant.

    Attributes:
        index: its place in the report.
        name: of the variant, whole.
        short: its levels alone, where they tell it apart.
        colour: index of a custom property; a theme gives it its value.
        dash, symbol: of lines and markers, in plotly's words; `stroke`, `outline` the same for an SVG.
    """

    index: int
    name: str
    short: str
    colour: int
    dash: str
    symbol: str

    @property
    def label(self) -> str:
        """The short name as plotly shows it: cut where it is long, and text where it could be taken for markup."""
        cut = self.short if len(self.short) <= LONGEST else f"{self.short[: LONGEST - 1]}…"
        return plain(cut)

    @property
    def stroke(self) -> str:
        return DASHES[self.dash]

    @property
    def outline(self) -> str:
        return SYMBOLS[self.symbol]


def plain(text: str) -> str:
    """Text for plotly, which takes <b> for bold and $ for a formula: its signs written as entities."""
    return escape(text, quote=False).replace("$", "&#36;")


def brief(variant: Variant) -> str:
    """The levels of several factors, or the only factor with its level."""
    if len(variant.levels) == 1:
        return "=".join(next(iter(variant.levels.items())))
    return " · ".join(variant.levels.values()) or variant.name


def looks(variants: Sequence[Variant], factors: Mapping[str, Sequence[str]]) -> dict[str, Look]:
    """By the name of the variant; of two factors the one with more levels is the colour and the other one the dash."""
    short = [brief(variant) for variant in variants]
    if len(set(short)) < len(short):
        short = [variant.name for variant in variants]
    by_colour, by_dash = sorted(factors, key=lambda f: -len(factors[f])) if len(factors) == 2 else ("", "")
    fits = len(factors) == 2 and len(factors[by_colour]) <= COLOURS and len(factors[by_dash]) <= len(DASHES)
    found = {}
    for i, variant in enumerate(variants):
        colour, dash = i, i
        if fits and {by_colour, by_dash} <= set(variant.levels):
            colour = list(factors[by_colour]).index(variant.levels[by_colour])
            dash = list(factors[by_dash]).index(variant.levels[by_dash])
        found[variant.name] = Look(
            i,
            variant.name,
            short[i],
            colour % COLOURS,
            list(DASHES)[dash % len(DASHES)],
            list(SYMBOLS)[i % len(SYMBOLS)],
        )
    return found


def first_shown(report: Report, looks: Mapping[str, Look]) -> list[int]:
    """The places of the variants that figures of lines show before the reader chooses: the best of the first metric."""
    if len(looks) <= MANY or not report.metrics:
        return [look.index for look in looks.values()]
    first = report.metrics[0]
    means = {name: cell.mean for name, cell in report.cells[first.key].items() if cell.n and name in looks}
    best = sorted(means, key=means.__getitem__, reverse=first.higher)[:MANY]
    return sorted(looks[name].index for name in best)
