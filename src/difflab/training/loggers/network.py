"""Whether a server answers, found out in bounded time."""

import ssl
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.request import build_opener

BARRED = (407, 502, 503, 504)  # what a proxy says in the place of a server that it does not reach or let through


def silence(url: str, seconds: float) -> str | None:
    """Why a server does not answer; None where it does, whatever it says. Proxies of the environment are used.

    Args:
        seconds: after which the answer counts as none; looking up the name is within them, which no socket limits.
    """
    found: SimpleQueue[str | None] = SimpleQueue()
    Thread(target=lambda: found.put(_asked(url, seconds)), name="asking W&B's server", daemon=True).start()
    try:
        return found.get(timeout=seconds)
    except Empty:
        return f"no answer within {seconds:g} seconds"


def _asked(url: str, seconds: float) -> str | None:
    try:
        with build_opener().open(url, timeout=seconds):  # which looks for proxies anew
            return None
    except HTTPError as error:
        return f"HTTP {error.code}" if error.code in BARRED else None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLError):  # it answers; W&B may know other certificates
            return None
        return str(getattr(reason, "strerror", None) or reason)
    except Exception as error:  # of http.client: words that are no HTTP
        return type(error).__name__
