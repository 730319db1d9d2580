"""report.html: one file that answers, opens without a network and fetches nothing."""

from difflab.report.page.page import write

__all__ = ["write"]
