"""What a plugin is, and how it is found.

A plugin is a class named by an entry point of the groups `kms_monitor.detectors` and
`kms_monitor.responders`; the built-in ones are found in the same way. Nothing is loaded unless the
settings name it: an installed package alone never runs inside the daemon.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import msgspec
import structlog
from pydantic import BaseModel

from monitor.clock import Clock
from monitor.decision import Action, Decision
from monitor.detector import Detector
from monitor.errors import SettingsError
from monitor.finding import Aspect
from monitor.knowledge import Knowledge
from monitor.ledger import Store
from monitor.metrics import Metrics
from monitor.policy import Mode

if TYPE_CHECKING:
    # Only for the types: a detector imports this module, and must not bring a client with it.
    from monitor.aws import Aws


@dataclass(frozen=True, slots=True)
class Services:
    """What a responder may use. There is nothing else that it needs from the daemon."""

    aws: "Aws"
    clock: Clock
    store: Store
    metrics: Metrics
    log: structlog.typing.FilteringBoundLogger
    environment: str
    """The free name of the installation from the settings, shown in every notification."""


@runtime_checkable
class Responder(Protocol):
    """Does one thing about a decision; running it twice equals running it once.

    `__init__` takes its validated `Options` and the `Services`.
    """

    name: ClassVar[str]
    repairs: ClassVar[bool]
    """Whether it writes to the guarded account. Those act before the ones that tell."""
    aspects: ClassVar[frozenset[Aspect]]
    """What of a key it can put back; empty for one that tells."""
    Options: ClassVar[type[Any]]
    """A pydantic model that refuses unknown members."""

    async def respond(self, decision: Decision) -> Action:
        """Carry it out. Raises only `WorthRetrying` and `NotWorthRetrying`."""
        ...

    async def serve(self) -> None:
        """Keep a connection for as long as the daemon lives; return at once if none is needed.

        The app owns the task; it ends by being cancelled.
        """
        ...

    def problem(self) -> str | None:
        """Why it could not do its work right now, for `/readyz`; None when all is well."""
        ...


OURS = "monitor."
"""With this begins where an entry point of ours leads."""
GROUPS = {"detectors": "kms_monitor.detectors", "responders": "kms_monitor.responders"}


class Loaded(msgspec.Struct, frozen=True):
    """The plugins that the settings name, ready to be made: their options are already validated."""

    detectors: dict[str, Callable[[Knowledge], Detector]]
    responders: dict[str, Callable[[Services], Responder]]
    modes: dict[str, Mode]
    """By detector, where it differs from the mode of the whole."""


def installed(kind: str) -> dict[str, EntryPoint]:
    """Every installed plugin of a kind (`detectors` or `responders`), by name, not loaded."""
    return {point.name: point for point in entry_points(group=GROUPS[kind])}


def load(
    kind: str, name: str, where: Callable[[tuple[str, ...]], str] = lambda _: "settings"
) -> Any:
    """The class behind one name. Raises `SettingsError` where none of that name is installed."""
    points = installed(kind)
    if name not in points:
        known = ", ".join(sorted(points))
        fault = f"{kind}.{name}: no such plugin is installed; there are: {known}"
        raise SettingsError([f"{where((kind, name))}: {fault}"])
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        fault = f"{where((kind, name))}: {kind}.{name}: cannot be loaded: {error}"
        raise SettingsError([fault]) from error


def built_in() -> list[str]:
    """The names of the built-in detectors, sorted."""
    points = installed("detectors").values()
    return sorted(point.name for point in points if point.value.startswith(OURS))


def chosen(named: Mapping[str, Any], *, defaults: bool) -> dict[str, Mapping[str, Any]]:
    """The detectors that run, by name, with the options that the settings give them.

    `named` holds options by name, or False for one that is turned off.
    """
    on: dict[str, Mapping[str, Any]] = {
        name: {} for name in built_in() if defaults and not load("detectors", name).about.quiet
    }
    return {name: options for name, options in (on | dict(named)).items() if options is not False}


def load_all(
    detectors: Mapping[str, Mapping[str, Any]],
    responders: Mapping[str, Mapping[str, Any]],
    validate: Callable[[type[BaseModel], Mapping[str, Any], tuple[str, str]], BaseModel],
    where: Callable[[tuple[str, ...]], str] = lambda _: "settings",
) -> Loaded:
    """Load every plugin that the settings name, by name with its options.

    Raises one `SettingsError` with the faults of all of them. `validate` gets a plugin's model, its
    options and their path in the settings; `where` says where something stands in them.
    """
    faults: list[str] = []
    loaded = Loaded({}, {}, {})
    for name, given in detectors.items():
        options = dict(given)
        try:
            if (mode := options.pop("mode", None)) is not None:
                loaded.modes[name] = parse_mode(mode, name, where)
            plugin = load("detectors", name, where)
            loaded.detectors[name] = partial(
                plugin, validate(plugin.Options, options, ("detectors", name))
            )
        except SettingsError as error:
            faults += error.faults
    for name, given in responders.items():
        try:
            plugin = load("responders", name, where)
            loaded.responders[name] = partial(
                plugin, validate(plugin.Options, given, ("responders", name))
            )
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(faults)
    return loaded


def parse_mode(text: object, detector: str, where: Callable[[tuple[str, ...]], str]) -> Mode:
    try:
        return Mode(str(text))
    except ValueError as error:
        path = ("detectors", detector, "mode")
        fault = f"{'.'.join(path)}: is {text!r}, but: must be observe or enforce"
        raise SettingsError([f"{where(path)}: {fault}"]) from error
