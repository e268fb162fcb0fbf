"""What a plugin is, and how it is found.

A plugin is a class named by an entry point of the groups `kms_monitor.detectors`,
`kms_monitor.responders` and `kms_monitor.escrows`, or a class in a file of `plugin_folders`; the
built-in ones are found in the same way. Nothing is loaded unless the settings name it: an installed
package alone never runs inside the daemon. One of others that is broken is reported and left out;
the rest goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Protocol,
    TypeVar,
    cast,
    runtime_checkable,
)

import structlog
from pydantic import BaseModel

from monitor import foreign
from monitor.clock import Clock
from monitor.decision import Action, Decision
from monitor.detector import Detector
from monitor.errors import PluginError, SettingsError
from monitor.escrow import Escrow
from monitor.finding import Aspect
from monitor.knowledge import Knowledge
from monitor.ledger import Store
from monitor.metrics import Metrics
from monitor.plugin_contract import faults_of
from monitor.policy import Mode
from monitor.shelf import Shelf, Source, Where, singular

if TYPE_CHECKING:
    # Only for the types: a detector imports this module, and must not bring a client with it.
    from monitor.aws import Aws
    from monitor.reimport.bring_back import Reimport


@dataclass(frozen=True, slots=True)
class Services:
    """What a responder or an escrow may use. It needs nothing else from the daemon."""

    aws: "Aws"
    clock: Clock
    store: Store
    metrics: Metrics
    log: structlog.typing.FilteringBoundLogger
    environment: str
    """The free name of the installation from the settings, shown in every notification."""
    knowledge: Knowledge = field(default_factory=Knowledge)
    """How every key should be, as detectors know it."""
    reimport: "Reimport | None" = None
    """Brings lost key material back from escrow; None where the settings name no escrow."""
    may_write: Callable[[], str | None] = lambda: None
    """Why nothing may be written to a guarded account just now: the kill switch; None where it may.
    To be asked before every writing call. It may turn on in the midst of a repair."""


@runtime_checkable
class Responder(Protocol):
    """Does one thing about a decision; running it twice equals running it once.

    `__init__` takes its validated `Options` and the `Services`. One that puts back what we see by, and
    no keys, says so by `sight = True`: it gets the findings that are `Finding.sight`, and only those.
    """

    name: ClassVar[str]
    repairs: ClassVar[bool]
    """Whether it writes to the guarded account. Those act before the ones that tell."""
    Options: ClassVar[type[Any]]
    """A pydantic model that refuses unknown members."""

    @property
    def aspects(self) -> frozenset[Aspect]:
        """What of a key it can put back; empty for one that tells."""
        ...

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


@runtime_checkable
class Container(Protocol):
    """A responder that acts on whoever did it: after the repair, and before people are told.

    It does not `repair`. A finding that it does not want passes it by, and nobody reads of it.
    """

    def wants(self, decision: Decision) -> bool:
        """Whether the decision, its repair carried out, is one to act on. Answers at once."""
        ...


ContextT = TypeVar("ContextT")
PluginT = TypeVar("PluginT")


@dataclass(frozen=True, slots=True)
class Recipe(Generic[ContextT, PluginT]):
    """A plugin ready to be made: its options are already validated."""

    source: Source
    plugin: Any
    """The class."""
    options: BaseModel

    def __call__(self, context: ContextT) -> PluginT:
        made: PluginT = self.plugin(self.options, context)
        return made


@dataclass(frozen=True, slots=True)
class Loaded:
    """The plugins that the settings name, and those among them that are broken."""

    detectors: dict[str, Recipe[Knowledge, Detector]] = field(default_factory=dict)
    responders: dict[str, Recipe[Services, Responder]] = field(default_factory=dict)
    escrows: dict[str, Recipe[Services, Escrow]] = field(default_factory=dict)
    """In the order in which they are asked."""
    modes: dict[str, Mode] = field(default_factory=dict)
    """By detector, where it differs from the mode of the whole."""
    broken: list[PluginError] = field(default_factory=list)


def installed(kind: str) -> dict[str, Source]:
    """Every installed plugin of a kind (`monitor.shelf.GROUPS`), by name, not loaded."""
    return Shelf().sources[kind]


def load(kind: str, name: str) -> Any:
    """The class behind the name of an installed plugin. Raises like `Shelf.load`."""
    return Shelf().load(kind, name)


def built_in() -> list[str]:
    """The names of the built-in detectors, sorted."""
    return sorted(name for name, one in installed("detectors").items() if one.built_in)


def chosen(named: Mapping[str, Any], *, defaults: bool) -> dict[str, Mapping[str, Any]]:
    """The detectors that run, by name, with the options that the settings give them.

    `named` holds options by name, or False for one that is turned off.
    """
    shelf = Shelf()
    names = built_in() if defaults else []
    on: dict[str, Any] = {
        name: {} for name in names if not shelf.load("detectors", name).about.quiet
    }
    return {name: options for name, options in (on | dict(named)).items() if options is not False}


def load_all(
    detectors: Mapping[str, Mapping[str, Any]],
    responders: Mapping[str, Mapping[str, Any]],
    validate: Callable[[type[BaseModel], Mapping[str, Any], tuple[str, str]], BaseModel],
    where: Where = lambda _: "settings",
    folders: Iterable[Path] = (),
    *,
    escrows: Mapping[str, Mapping[str, Any]] | None = None,
) -> Loaded:
    """Load every plugin that the settings name, by name with its options.

    Raises one `SettingsError` with the faults of all of them; what is broken without the settings'
    fault is in `broken`. `validate` gets a plugin's model, its options and their path in the
    settings; `where` says where something stands in them.
    """
    faults: list[str] = []
    shelf = Shelf(folders)
    loaded = Loaded(broken=list(shelf.broken_files))

    def recipe(kind: str, name: str, options: Mapping[str, Any]) -> Recipe[Any, Any]:
        plugin = shelf.load(kind, name, where)
        source = shelf.sources[kind][name]
        ran = foreign.run(lambda: validate(plugin.Options, options, (kind, name)))
        if isinstance(ran.error, SettingsError):
            raise ran.error
        if ran.value is None:
            problem = f"its Options broke: {foreign.place_of(ran.error or TypeError())}"
            raise PluginError(singular(kind), name, source.origin, problem)
        return Recipe(source, plugin, ran.value)

    for name, given in detectors.items():
        options = dict(given)
        try:
            if (mode := options.pop("mode", None)) is not None:
                loaded.modes[name] = parse_mode(mode, name, where)
            loaded.detectors[name] = recipe("detectors", name, options)
        except SettingsError as error:
            faults += error.faults
        except PluginError as error:
            loaded.broken.append(error)
    for kind, named, made in (
        ("responders", responders, loaded.responders),
        ("escrows", escrows or {}, loaded.escrows),
    ):
        for name, given in named.items():
            try:
                made[name] = recipe(kind, name, given)
            except SettingsError as error:
                faults += error.faults
            except PluginError as error:
                loaded.broken.append(error)
    for kind, names in (
        ("detectors", list(detectors)),
        ("responders", list(responders)),
        ("escrows", list(escrows or {})),
    ):
        for name in names:
            clash = shelf.clashes.get((kind, name))
            if clash is not None and clash not in loaded.broken:
                loaded.broken.append(clash)
    if faults:
        raise SettingsError(faults)
    return loaded


def make_all(
    recipes: Mapping[str, Recipe[ContextT, PluginT]], context: ContextT, broken: list[PluginError]
) -> dict[str, PluginT]:
    """The plugins themselves. What throws while it is made is added to `broken` and left out."""
    made: dict[str, PluginT] = {}
    for name, recipe in recipes.items():
        source = recipe.source
        if source.built_in:
            made[name] = recipe(context)
            continue
        ran = foreign.run(partial(recipe, context))
        if ran.error is not None:
            problem = f"cannot be made: {foreign.place_of(ran.error)}"
        elif wrong := faults_of(source.kind, name, ran.value):
            problem = "; ".join(wrong)
        else:
            made[name] = cast("PluginT", ran.value)
            continue
        broken.append(PluginError(singular(source.kind), name, source.origin, problem))
    return made


def origins(recipes: Mapping[str, Recipe[Any, Any]]) -> dict[str, str]:
    """Whose each plugin is, by its name."""
    return {name: recipe.source.origin for name, recipe in recipes.items()}


def parse_mode(text: object, detector: str, where: Callable[[tuple[str, ...]], str]) -> Mode:
    try:
        return Mode(str(text))
    except ValueError as error:
        path = ("detectors", detector, "mode")
        fault = f"{'.'.join(path)}: is {text!r}, but: must be observe or enforce"
        raise SettingsError([f"{where(path)}: {fault}"]) from error
