"""Every plugin that can be had, by name: the installed ones and those in folders of the settings.

Nobody takes the name of a built-in plugin, and of two others with one name neither is used: whoever
can add a package to the image should not be able to swap a detector quietly.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from monitor import foreign
from monitor.errors import PluginError, SettingsError
from monitor.local_plugins import read_folders
from monitor.plugin_contract import faults_of

OURS = "kms-monitor"
"""The distribution whose plugins are built in."""
GROUPS = {kind: f"kms_monitor.{kind}" for kind in ("detectors", "responders", "escrows")}
Where = Callable[[tuple[str, ...]], str]
"""Where something stands in the settings, by its path."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one plugin is to be had. Nothing of it was loaded yet, unless it came from a file."""

    kind: str
    name: str
    origin: str
    """The distribution's name, or the file."""
    built_in: bool
    get: Callable[[], Any]


class Shelf:
    """Every plugin that can be had. Raises OSError where a folder cannot be read."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        local, self.broken_files = read_folders(folders)
        self.sources: dict[str, dict[str, Source]] = {}
        self.clashes: dict[tuple[str, str], PluginError] = {}
        for kind, group in GROUPS.items():
            found = [
                Source(kind, point.name, origin, origin == OURS, point.load)
                for point, origin in points(group, tuple(sys.path))
            ]
            found += [
                Source(kind, one.name, one.file, built_in=False, get=partial(same, one.plugin))
                for one in local
                if one.kind == kind
            ]
            self.sources[kind] = self.one_of_each_name(kind, found)

    def one_of_each_name(self, kind: str, found: list[Source]) -> dict[str, Source]:
        """Nobody takes the name of a built-in one; of two others with one name neither counts."""
        by_name: dict[str, list[Source]] = defaultdict(list)
        for one in found:
            by_name[one.name].append(one)
        chosen = {}
        for name, same_name in by_name.items():
            ours = [one for one in same_name if one.built_in]
            others = [one.origin for one in same_name if not one.built_in]
            if ours or len(others) == 1:
                chosen[name] = (ours or same_name)[0]
            if others and len(same_name) > 1:
                problem = "a built-in one has this name" if ours else "they share a name: none runs"
                origin = ", ".join(sorted(others))
                self.clashes[kind, name] = PluginError(singular(kind), name, origin, problem)
        return chosen

    @property
    def broken(self) -> list[PluginError]:
        """What can never be used, whatever the settings name."""
        return [*self.broken_files, *self.clashes.values()]

    def find(self, kind: str, name: str, where: Where = lambda _: "settings") -> Source:
        """Raises `PluginError`, and `SettingsError` where there is none of that name."""
        source = self.sources[kind].get(name)
        if source is not None:
            return source
        if (clash := self.clashes.get((kind, name))) is not None:
            raise clash
        if self.broken_files:
            files = ", ".join(one.origin for one in self.broken_files)
            raise PluginError(singular(kind), name, files, "is not found, and these are broken")
        near = get_close_matches(name, self.sources[kind], cutoff=0.5) or sorted(self.sources[kind])
        fault = (
            f"{kind}.{name}: no such plugin is installed; did you mean {', '.join(near[:4])}?"
            " All: kms-monitor plugins"
        )
        raise SettingsError([f"{where((kind, name))}: {fault}"])

    def load(self, kind: str, name: str, where: Where = lambda _: "settings") -> Any:
        """The class of one name. Raises like `find`; a built-in one that is broken is a defect."""
        source = self.find(kind, name, where)
        if source.built_in:
            try:
                return source.get()
            except (ImportError, AttributeError) as error:
                fault = f"{where((kind, name))}: {kind}.{name}: cannot be loaded: {error}"
                raise SettingsError([fault]) from error
        ran = foreign.run(source.get)
        if ran.error is not None:
            problem = f"cannot be imported: {foreign.text_of(ran.error)}"
            raise PluginError(singular(kind), name, source.origin, problem)
        if wrong := faults_of(kind, name, ran.value):
            raise PluginError(singular(kind), name, source.origin, "; ".join(wrong))
        return ran.value


@lru_cache(maxsize=8)
def points(group: str, _path: tuple[str, ...]) -> tuple[tuple[EntryPoint, str], ...]:
    """Entry points of a group, all of one name included; looked up again when the path changes.

    With each its distribution's name, for which a file is read anew whenever it is asked for: here once
    for all points of one distribution.
    """
    found = entry_points(group=group)
    names = {
        id(one): one.name for one in {id(each.dist): each.dist for each in found}.values() if one
    }
    return tuple((one, names.get(id(one.dist), "an unknown distribution")) for one in found)


def same(plugin: Any) -> Any:
    return plugin


def singular(kind: str) -> str:
    return kind.removesuffix("s")
