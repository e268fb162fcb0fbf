"""What belongs into the zip: which of our modules, which files of packages, which of AWS's service models. Pure
but for reading files."""

import ast
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

LEFT_OUT: Final = (
    # what plays AWS and its attackers
    "monitor/simulator/*",
    "monitor/demo/*",
    # the daemon, and what only it serves
    "monitor/app.py",
    "monitor/web.py",
    "monitor/reload.py",
    "monitor/mqtt/*",
    "monitor/responders/mqtt.py",
    "monitor/stores/sqlite.py",
    # the command line
    "monitor/__main__.py",
    "monitor/cli.py",
    "monitor/command_store.py",
    "monitor/*_command.py",
    "monitor/serverless/command.py",
    "monitor/approving/*",
    "monitor/checking/*",
    "monitor/dlq/*",
    "monitor/replay/*",
    "monitor/rights/*",
    "monitor/stack/*",
    "monitor/material/*",
    "monitor/testing/*",
    "monitor/schema.py",
)
"""Ours that the serverless form never runs; `*` stands for slashes, too."""
UNUSED_PLUGINS: Final = ("monitor.responders.mqtt",)
"""Modules of plugins that are left out with it, so that nobody is offered them."""
NOT_RUN: Final = (
    "bin/*",
    # What writes modules for C; they themselves need no more than _cffi_backend.
    "cffi/*",
    "pycparser/*",
    "wrapt-stubs/*",
    # aiohttp as a server, and web sockets: where C is missing, it takes Python.
    "aiohttp/_websocket/*.so",
    "aiohttp/web*.py",
    "aiohttp/worker.py",
    "aiohttp/test_utils.py",
    "aiohttp/pytest_plugin.py",
    "pydantic/v1/*",
    "pydantic/mypy.py",
    "pydantic/_hypothesis_plugin.py",
    "dateutil/zoneinfo/*.tar.gz",  # tzdata has the same, newer
    "botocore/data/*/examples-1.json*",
    "*/tests/*",
    "*/__pycache__/*",
    "*.pyi",
    "*.pyx",
    "*.pxd",
    "*.pxi",
    "*.c",
    "*.h",
    "*/py.typed",
)
"""Files of packages that nothing imports."""
MODELS: Final = "botocore/data"
LICENCE: Final = (
    "*/licenses/*",
    "*/LICENSE*",
    "*/LICENCE*",
    "*/COPYING*",
    "*/NOTICE*",
    "*/AUTHORS*",
)


def matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, one) for one in patterns)


def ours(path: str) -> bool:
    """Whether a file of our wheel, such as `monitor/aws.py`, is in the zip. Its dist-info: entry points and name."""
    if path.startswith("monitor/"):
        return not matches(path, (*LEFT_OUT, "*/py.typed"))
    return PurePosixPath(path).name in {"METADATA", "entry_points.txt"}


def place(path: str, services: frozenset[str]) -> str | None:
    """Where a file of a package lies in the zip; None if nowhere.

    Of a package's dist-info only its licences are kept, in one folder for all: without METADATA
    `importlib.metadata` would stumble over what is left, and with it look for plugins in each.
    """
    top = path.partition("/")[0]
    if top.endswith(".dist-info"):
        name = top.partition("-")[0]
        return f"licences/{name}/{PurePosixPath(path).name}" if matches(path, LICENCE) else None
    if matches(path, NOT_RUN):
        return None
    if path.startswith(f"{MODELS}/"):
        service, _, rest = path.removeprefix(f"{MODELS}/").partition("/")
        if rest and service not in services:
            return None
    return path


def newest_models(paths: Iterable[str]) -> Iterator[str]:
    """Without service models of older API versions, which are dates: botocore takes the last one."""
    found = list(paths)
    newest: dict[str, str] = {}
    for path in found:
        service, version = version_of(path)
        if service:
            newest[service] = max(version, newest.get(service, ""))
    for path in found:
        service, version = version_of(path)
        if not service or newest[service] == version:
            yield path


def version_of(path: str) -> tuple[str, str]:
    """Service and API version that a model is of; empty for other files."""
    parts = path.split("/")
    return (parts[2], parts[3]) if path.startswith(f"{MODELS}/") and len(parts) == 5 else ("", "")


def entry_points(text: str) -> str:
    """`entry_points.txt` without commands, and without plugins that are left out."""
    kept: list[str] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line
        module = line.partition("=")[2].partition(":")[0].strip()
        if section != "[console_scripts]" and module not in UNUSED_PLUGINS:
            kept.append(line)
    return "\n".join(kept) + "\n"


def headers(text: str) -> str:
    """`METADATA` without the readme below: all of it is parsed whenever somebody asks for a name."""
    return text.partition("\n\n")[0] + "\n"


def services(sources: Iterable[Path]) -> frozenset[str]:
    """The services of AWS that these modules call: what they hand to the door, `monitor.aws`.

    That is the first argument of `client`, or what stands in the table that it is looked up in.
    """
    found: set[str] = set()
    for source in sources:
        module = ast.parse(source.read_text("utf-8"))
        for argument in first_arguments(module):
            match argument:
                case ast.Constant(value=str(name)):
                    found.add(name)
                case ast.Subscript(value=ast.Name(id=table)):
                    found.update(values_of(module, table))
    return frozenset(found)


def first_arguments(module: ast.Module) -> Iterator[ast.expr]:
    """Of all calls of something called `client`."""
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr="client"), args=[first, *_]):
                yield first


def values_of(module: ast.Module, table: str) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict(values=values)):
                if name == table:
                    yield from (ast.literal_eval(one) for one in values)
