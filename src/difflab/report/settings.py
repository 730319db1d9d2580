"""Settings of a run as text, by dotted field: what its config.yaml says, without making an object of any of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import yaml

from difflab.report.contents import Contents, Unreadable
from difflab.report.names import clean
from difflab.runs.paths import CONFIGS
from difflab.runs.resume import key_of
from difflab.runs.trust import DEEPEST, LARGEST, brief, quoted

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times faster where PyYAML was built with it
PLAIN = {"": "null", "~": "null", "null": "null", "true": "true", "false": "false"}  # unless it stands in quotes
CHOICES = "hydra.runtime.choices."


def settings_of(files: Contents, typed: Iterable[str]) -> dict[str, str]:
    """Every value of the config, and for each group the name of its option.

    A run that was refused has no config.yaml; what Hydra wrote before is read instead, unresolved. Empty where there is
    neither.

    Raises:
        Unreadable: where it is not what a run writes.
    """
    config = next((name for name in ("config.yaml", ".hydra/config.yaml") if files.inside(name) is not None), None)
    if config is None:
        return {}
    leaves = flattened(files, config)
    if "seed" not in leaves:
        raise Unreadable(f"{config} has no seed, and is not the config of a run")
    choices = choices_of(files)
    if choices is None:
        sections = {field.removesuffix("._target_"): value for field, value in leaves.items() if "._target_" in field}
        choices = {group: option(group, target) for group, target in sections.items() if "." not in group}
        # Groups without a section of their own, such as experiment, are known from the command line alone.
        choices |= {key: value for key, value in overridden(typed).items() if "." not in key and key not in leaves}
    chosen = {group: name for group, name in choices.items() if name != "null"}  # a group is null where none is
    return {**chosen, **leaves}


def choices_of(files: Contents) -> dict[str, str] | None:
    """The option of each group, by Hydra; None where it left no record that can be read."""
    try:
        if files.inside(".hydra/hydra.yaml") is None:
            return None
        hydra = flattened(files, ".hydra/hydra.yaml")
    except Unreadable:
        return None
    found = {field.removeprefix(CHOICES): value for field, value in hydra.items() if field.startswith(CHOICES)}
    return {group: name for group, name in found.items() if not group.startswith("hydra/")} or None


def overridden(typed: Iterable[str]) -> dict[str, str]:
    """Values by field of FIELD=VALUE."""
    return {key_of(item): item.partition("=")[2] for item in typed}


def option(group: str, target: str) -> str:
    """The option whose class this is, by its name; the class itself where none is called so."""
    name = target.rpartition(".")[2]
    return "none" if name == "null" else options(group).get(name.lower(), name)


@cache
def options(group: str) -> Mapping[str, str]:
    """The options of a group, by their names as they would be written in that of a class."""
    return {path.stem.replace("_", ""): path.stem for path in sorted((CONFIGS / group).glob("*.yaml"))}


def flattened(files: Contents, name: str) -> dict[str, str]:
    """The values of a YAML file of a run as text, by dotted field; a list is one value.

    Raises:
        Unreadable: where it cannot be read, and for whatever a run does not write.
    """
    found: dict[str, str] = {}
    with reading(name):
        events = careful(files, name)
        if not isinstance(next(events, None), yaml.MappingStartEvent):
            raise Unreadable(f"{name} holds no sections with names")
        fill(found, "", events, name)
    return found


def listed(files: Contents, name: str) -> list[str]:
    """The values of a YAML file that is a list, in the same way."""
    with reading(name):
        events = careful(files, name)
        if not isinstance(next(events, None), yaml.SequenceStartEvent):
            raise Unreadable(f"{name} holds no list")
        return [inline(item, events) for item in until(yaml.SequenceEndEvent, events)]


@contextmanager
def reading(name: str) -> Iterator[None]:
    """What a parser says becomes the line of a report."""
    try:
        yield
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"{name} cannot be read ({brief(error)})") from error


def careful(files: Contents, name: str) -> Iterator[yaml.Event]:
    """The parts of a YAML file, up to the first that no run writes.

    Raises:
        Unreadable: for that one: aliases could fill the memory, tags name Python's classes.
    """
    text, depth = files.text(name, LARGEST) or "", 0
    if not text.endswith("\n"):
        raise Unreadable(f"{name} has been cut off")
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Unreadable(f"{name} holds an anchor or an alias, which no run writes")
        if getattr(event, "tag", None) is not None:
            raise Unreadable(f"{name} holds the tag {quoted(event.tag)}, which no run writes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Unreadable(f"{name} holds more than {DEEPEST} sections within each other")
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            yield event


def fill(found: dict[str, str], above: str, events: Iterator[yaml.Event], name: str) -> None:
    """The values of a section that has begun, each by its whole name."""
    empty = True
    for key in until(yaml.MappingEndEvent, events):
        if not isinstance(key, yaml.ScalarEvent):
            raise Unreadable(f"{name} holds a section whose name is no text")
        field, value, empty = f"{above}{clean(key.value)}", next(events), False
        if isinstance(value, yaml.MappingStartEvent):
            fill(found, f"{field}.", events, name)
        else:
            found[field] = inline(value, events)
    if empty and above:
        found[above.removesuffix(".")] = "{}"


def inline(event: yaml.Event, events: Iterator[yaml.Event]) -> str:
    """A value in one line, with all that is in it."""
    if isinstance(event, yaml.ScalarEvent):
        return clean(event.value) if event.style else PLAIN.get(event.value.lower(), clean(event.value))
    if isinstance(event, yaml.SequenceStartEvent):
        return f"[{', '.join(inline(item, events) for item in until(yaml.SequenceEndEvent, events))}]"
    pairs = (f"{inline(key, events)}: {inline(next(events), events)}" for key in until(yaml.MappingEndEvent, events))
    return f"{{{', '.join(pairs)}}}"


def until(end: type[yaml.Event], events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
    """What is left of a list or section that has begun."""
    while not isinstance(event := next(events), end):
        yield event
