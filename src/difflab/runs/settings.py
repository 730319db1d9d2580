"""How a script changes the settings of a finished run: what is not said stays as the run was trained with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.runs.folder import RunFolder
from difflab.runs.paths import CONFIGS
from difflab.runs.resume import as_override, key_of, override
from difflab.runs.trust import quoted, read_yaml

GROUPS = ("guidance", "sampler", "grid", "variance", "decoder", "likelihood", "features", "metrics")
ADDED: set[str] = set()  # options that `with_choices` put on the command line of this process
# an option that others hold a copy of
SHARED = {"grid": ("sampler",), "variance": ("sampler", "likelihood"), "decoder": ("likelihood",)}


def with_choices(config: str, arguments: list[str]) -> list[str]:
    """The command line with the run's `sampler=OPTION` added where only `sampler.KEY=` is said: then it composes.

    What Hydra writes about a grid goes to the run's .hydra/ too, not to the working folder.

    Raises:
        ConfigError: where the script works on a run and `run=` names none.
    """
    asked = any(a.startswith("-") and a not in ("-m", "--multirun") for a in arguments)  # --help and the like
    node = OmegaConf.load(CONFIGS / f"{config}.yaml")
    own = {group for entry in node.defaults if not isinstance(entry, str) for group in entry}
    if asked or "run" not in node or not own.intersection(GROUPS):
        return arguments
    run = override(arguments, "run")
    if run in (None, "null", ""):
        raise ConfigError("run: null; allowed are run folders: run=outputs/runs/NAME/DATE_TIME-XXXX")
    folders = [RunFolder.existing("run", path) for path in run.split(",")]
    arguments = [f"hydra.sweep.dir={as_override(folders[0].path / '.hydra' / config)}", *arguments]
    file = folders[0].path / ".hydra" / "hydra.yaml"
    if len(folders) > 1 or not file.is_file():
        return arguments
    said = {key_of(a) for a in arguments}
    needed = [g for g in GROUPS if g not in said and any(key.startswith(f"{g}.") for key in said)]
    chosen = choices(file, needed)
    ADDED.update(chosen)
    return [*(f"{g}={option}" for g, option in chosen.items()), *arguments]


def choices(file: Path, groups: Sequence[str]) -> dict[str, str]:
    """What .hydra/hydra.yaml of a run says was chosen in these groups; they go to a command line.

    Raises:
        ConfigError: for anything but the name of an option in configs/.
    """
    node: Any = read_yaml(file, "run", interpolations=True)
    for key in ("hydra", "runtime", "choices"):
        node = node.get(key) if isinstance(node, dict) else None
    found = {g: node[g] for g in groups if g in node} if isinstance(node, dict) else {}
    for group, option in found.items():
        known = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
        if option not in known:
            raise ConfigError(
                f"{group}: {quoted(option)} in {file} is no option of configs/{group}; say {group}=OPTION, "
                f"allowed are {', '.join(known)}"
            )
    return found


def typed_targets(arguments: list[str]) -> list[str]:
    """The modules that a command line lets in by targets=[MODULE]."""
    value = override(arguments, "targets")
    typed: Any = OmegaConf.to_container(OmegaConf.create(f"targets: {value or []}"))
    return list(map(str, typed["targets"]))


def recommended(group: str, name: str) -> set[str]:
    """The groups in which an option recommends others."""
    path = CONFIGS / group / f"{name}.yaml"
    node: Any = OmegaConf.load(path) if path.is_file() else {}
    entries = node.get("defaults", [])
    return {key.removeprefix("override /").split("@")[0] for e in entries if not isinstance(e, str) for key in e}


def changes(run_config: Mapping[str, Any], composed: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Sections of the run's config that the command line replaces, resolved.

    Args:
        run_config: the run's saved config.
        composed: what the command line composes to.
        overrides: the command line itself; an option that was only added to let it compose counts as the run's own.
    """
    plain: Any = OmegaConf.to_container(composed, resolve=True)
    said = {key_of(item): item for item in overrides}
    changed: dict[str, Any] = {}
    for group in GROUPS:
        keys = [key for key in said if key.startswith(f"{group}.")]
        if group in said and group not in ADDED:
            theirs = [g for g in SHARED if g not in said and g not in recommended(group, said[group].split("=", 1)[1])]
            own = {g: run_config[g] for g in theirs if plain[group] and g in plain[group] and g in run_config}
            changed[group] = plain[group] | own if own else plain[group]
        elif keys:
            node = OmegaConf.create(dict(run_config.get(group) or {}))
            for key in keys:
                inner = key.removeprefix(f"{group}.")
                OmegaConf.update(node, inner, OmegaConf.select(composed, key))
            changed[group] = OmegaConf.to_container(node)
    for group, holders in SHARED.items():
        if group in changed:
            for holder in holders:
                node = changed.get(holder) or dict(run_config[holder])
                if group in node:
                    changed[holder] = node | {group: changed[group]}
    if "generation" in plain:
        keys = [key.split(".")[1] for key in said if key.startswith("generation.")]
        changed["generation"] = run_config["generation"] | {key: plain["generation"][key] for key in keys}
    return changed
