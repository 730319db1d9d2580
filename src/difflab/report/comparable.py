"""Which variants can be compared: figures of different data sets, or by different features, have other scales."""

from collections.abc import Sequence

from difflab.report.model import Metric, Variant

# Of a data set, what changes the training and not what is measured.
OF_TRAINING = tuple(f"data.{name}" for name in ("batch_size", "workers", "root", "flip", "val_size", "seed", "draw"))
BY_FEATURES = (  # how the names of such figures begin
    *("fid", "fd_", "kid", "kd_", "cmmd", "mmd_", "is", "precision", "recall", "nearest_", "copied_", "classifier"),
)


def apart(field: str, metric: Metric) -> bool:
    """Whether a figure has another meaning for each level of this field."""
    section = field.partition(".")[0]
    if section == "features":
        return metric.key.rpartition("/")[2].startswith(BY_FEATURES)
    return section == "data" and field not in OF_TRAINING


def separating(variants: Sequence[Variant], metric: Metric) -> list[str]:
    """The fields that give a figure several meanings here, without those that say nothing more than others."""
    done = [variant for variant in variants if variant.runs]
    known = [settings_of(variant) for variant in done]
    fields = set.intersection(*(set(settings) for settings in known)) if known else set()
    found: list[str] = []
    many = 1
    for field in sorted((f for f in fields if apart(f, metric)), key=lambda f: ("." in f, f)):  # groups first
        kinds = len({tuple(settings[f] for f in (*found, field)) for settings in known})
        if kinds > many:
            found, many = [*found, field], kinds
    return found


def settings_of(variant: Variant) -> dict[str, str]:
    """What all runs of a variant have been set to, also where the name of an experiment alone tells it."""
    return {**next((run.settings for run in (*variant.runs, *variant.lost)), {}), **variant.levels}


def parts(variants: Sequence[Variant], metric: Metric) -> dict[str, list[Variant]]:
    """The variants that can be compared with each other, by what they share, such as "data=digits"; "" for all."""
    fields = separating(variants, metric)
    found: dict[str, list[Variant]] = {}
    for variant in variants:
        settings = settings_of(variant)
        name = ", ".join(f"{field}={settings.get(field, '?')}" for field in fields)
        found.setdefault(name, []).append(variant)
    return found
