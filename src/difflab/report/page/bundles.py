"""The libraries that a page carries with it, packed: plotly for figures, DataTables for tables."""

from base64 import b64encode
from functools import cache
from gzip import compress
from pathlib import Path


@cache
def bundles() -> dict[str, str]:
    """plotly.js and the DataTables of itables as base64 of gzip; a browser unpacks them by itself."""
    from itables.options import dt_bundle
    from plotly.offline import get_plotlyjs

    return {"plotly": packed(get_plotlyjs().encode()), "tables": packed(Path(dt_bundle).read_bytes())}


def packed(data: bytes) -> str:
    return b64encode(compress(data, 9, mtime=0)).decode()
