"""Plugins in folders of the settings: every `*.py` directly in one, without packaging.

What stands in such a file runs with all the daemon's rights, so that a file which others may write
is not imported. It is read as source every time: a compiled copy beside it could be forged.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import msgspec

from monitor import foreign
from monitor.errors import PluginError

PREFIX = "monitor_local_"
"""Of the modules' names: nothing that is installed is called so."""
METHODS = {"detectors": "inspect", "responders": "respond", "escrows": "fetch"}
"""By what a plugin of each kind is known."""


class Local(msgspec.Struct, frozen=True):
    """One class in one file."""

    kind: str
    name: str
    file: str
    plugin: Any


class SourceOnly(SourceFileLoader):
    """Neither reads nor writes `__pycache__`."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def read_folders(folders: Iterable[Path]) -> tuple[list[Local], list[PluginError]]:
    """All plugins in these folders, and the files that cannot be imported. Raises OSError."""
    found: list[Local] = []
    broken: list[PluginError] = []
    taken: dict[str, Path] = {}
    for folder in folders:
        # `_common.py` and such are no plugins; nor are an editor's backups.
        for path in sorted(one for one in folder.iterdir() if one.suffix == ".py"):
            if path.name.startswith(("_", ".")):
                continue
            fault = weakness(folder) or weakness(path)
            if not fault and path.stem in taken:
                fault = f"there is another file of this name: {taken[path.stem]}"
            if not fault:
                taken[path.stem] = path
                ran = foreign.run(partial(plugins_in, path))
                if ran.value is not None:
                    found += ran.value
                    continue
                fault = f"cannot be imported: {foreign.text_of(ran.error or ImportError())}"
            broken.append(PluginError("file", path.stem, str(path), fault))
    return found, broken


def weakness(path: Path) -> str:
    """Why others could change what is imported from here; "" where they cannot."""
    found = path.stat()
    if found.st_uid not in {0, os.geteuid()}:
        return f"not imported: {path} belongs to user {found.st_uid}, who is neither us nor root"
    groups = {os.getegid(), *os.getgroups()}
    theirs = bool(found.st_mode & stat.S_IWGRP) and found.st_gid not in groups
    if not (theirs or found.st_mode & stat.S_IWOTH):
        return ""
    if stat.S_ISDIR(found.st_mode) and (
        found.st_mode & stat.S_ISVTX or os.statvfs(path).f_flag & os.ST_RDONLY
    ):
        # Kubernetes mounts a ConfigMap read-only, with a folder that all may write by its mode.
        return ""
    return f"not imported: others may write {path}; chmod go-w"


def plugins_in(path: Path) -> list[Local]:
    return list(classes(import_file(path), path))


def import_file(path: Path) -> ModuleType:
    name = f"{PREFIX}{path.stem}"
    spec = spec_from_loader(name, SourceOnly(name, str(path)))
    assert spec is not None, "it has a loader"
    assert spec.loader is not None, "it has a loader"
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic and dataclasses look annotations up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def classes(module: ModuleType, path: Path) -> Iterator[Local]:
    """The plugins that a file defines; what it only imports is not its own."""
    for value in vars(module).values():
        if not isinstance(value, type) or value.__module__ != module.__name__:
            continue
        name = getattr(value, "name", None)
        for kind, method in METHODS.items():
            if isinstance(name, str) and hasattr(value, method):
                yield Local(kind, name, str(path), value)
