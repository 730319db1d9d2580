"""What is kept of a figure that was logged many times: its least value, its greatest, or the last."""

LOWER = ("bits_per_dim", "nll", "fid", "kid", "cmmd", "energy_distance", "sliced_wasserstein")
HIGHER = ("is", "precision", "recall", "images_per_second", "memory_gb")
FAMILIES = {"fd_": "min", "kd_": "min", "mmd_": "min", "is_": "max", "precision_": "max", "recall_": "max"}
# What the name of a figure ends with that says more about another one: its error, its floor, what it is computed from.
DETAILS = ("_stderr", "_images", "_floor", "_samples", "_draws", "_points", "_calls", "_spread", "_value")


def best(key: str) -> str | None:
    """`min` or `max` where one value of this figure is the best; None for others, of which the last counts."""
    name = key.rpartition("/")[2]
    if name.endswith(DETAILS):
        return None
    if name in LOWER or key == "val/loss":
        return "min"
    if name in HIGHER:
        return "max"
    return next((which for begin, which in FAMILIES.items() if name.startswith(begin)), None)
