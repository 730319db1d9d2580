"""The figures of the page, one a file; plotly draws them in the browser."""

from difflab.report.page.charts.along import ema_lengths, network_calls
from difflab.report.page.charts.chart import Chart, Choice, Table
from difflab.report.page.charts.cost import cost
from difflab.report.page.charts.curves import curves
from difflab.report.page.charts.effects import effects
from difflab.report.page.charts.means import means
from difflab.report.page.charts.terms import terms

__all__ = ["Chart", "Choice", "Table", "cost", "curves", "effects", "ema_lengths", "means", "network_calls", "terms"]
