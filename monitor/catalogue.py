"""What the detectors tell about themselves: as a table's rows, as text, and as the reference page."""

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from monitor.detector import OWN, About, Detector
from monitor.shelf import Shelf

HEAD = """\
# The detectors

This page is made from the code by `make reference`; do not write in it. `kms-monitor plugins NAME` shows the same of one
detector, those of others included. What a detector is and how to write one: [plugins.md](plugins.md).

All run unless `detectors:` in the settings turns one off (`NAME: false`); those that are *quiet* run only if they are
named there. Each may have a `mode` of its own there. `default_detectors: false` leaves only those that are named.

"""
ATTACK = "https://attack.mitre.org/techniques/"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One detector, in words; the object that `--json` prints."""

    name: str
    title: str
    origin: str
    on: bool
    """Whether it runs if the settings do not name it."""
    description: str
    severity: str
    techniques: tuple[str, ...]
    false_positives: tuple[str, ...]
    advice: tuple[str, ...]
    references: tuple[str, ...]
    events: tuple[str, ...]
    options: tuple["Option", ...]


class Option(msgspec.Struct, frozen=True):
    name: str
    default: str
    """As YAML would say it; `required` where there is none."""
    description: str


def entry(kind: type[Detector], origin: str, *, built_in: bool) -> Entry:
    about: About = kind.about
    members = msgspec.structs.asdict(about)
    quiet = members.pop("quiet")
    return Entry(
        name=kind.name,
        title=kind.title,
        origin=origin,
        on=built_in and not quiet,
        events=tuple(events(kind)),
        options=tuple(options(kind.Options)),
        **members,
    )


def events(kind: type[Detector]) -> Iterable[str]:
    """The names of the events, by source; those that it looks at only when they failed say so."""
    for source, name in sorted(kind.events):
        yield f"kms-monitor itself: {name}" if source == OWN else f"{source}: {name}"
    for source, name, code in sorted(kind.failures):
        yield f"{source}: {name}, failed with {code}"


def options(model: type[BaseModel]) -> Iterable[Option]:
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        yield Option(
            name,
            "required" if default is PydanticUndefined else plain(default),
            " ".join((field.description or "").split()),
        )


def plain(value: Any) -> str:
    """A default as JSON, which is YAML too; sorted, so that a set is always the same."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return msgspec.json.encode(value, order="sorted", enc_hook=str).decode()


def built_in_entries() -> list[Entry]:
    """Every built-in detector, by name."""
    shelf = Shelf()
    return [
        entry(shelf.load("detectors", name), source.origin, built_in=True)
        for name, source in sorted(shelf.sources["detectors"].items())
        if source.built_in
    ]


def page(entries: list[Entry]) -> str:
    """The reference page."""
    lines = ["| detector | what | severity | ATT&CK |", "|---|---|---|---|"]
    for one in entries:
        name = f"[`{one.name}`](#{one.name})" + ("" if one.on else " (quiet)")
        what, severity = cell(one.title), cell(one.severity)
        lines.append(f"| {name} | {what} | {severity} | {', '.join(map(link, one.techniques))} |")
    return HEAD + "\n".join([*lines, "", *map(section, entries)])


def section(one: Entry) -> str:
    parts = [
        f"## {one.name}",
        f"**{one.title}.** {one.description}",
        f"*Severity:* {one.severity}.",
    ]
    if not one.on:
        parts.append("*Quiet:* it runs only if the settings name it.")
    if one.techniques:
        parts.append(f"*ATT&CK:* {', '.join(map(link, one.techniques))}")
    for title, texts in (
        ("What it looks at", [f"`{event}`" for event in one.events]),
        ("What may be no attack", one.false_positives),
    ):
        if texts:
            parts.append(f"*{title}:*\n\n" + "\n".join(f"* {text}" for text in texts))
    if one.advice:
        steps = "\n".join(f"{number}. {text}" for number, text in enumerate(one.advice, 1))
        parts.append(f"*What to do now:*\n\n{steps}")
    if one.options:
        rows = [
            f"| `{o.name}` | `{cell(o.default)}` | {cell(o.description)} |" for o in one.options
        ]
        parts.append("\n".join(["| option | default | |", "|---|---|---|", *rows]))
    if one.references:
        parts.append("*See:* " + " ".join(f"<{address}>" for address in one.references))
    return "\n\n".join(parts) + "\n"


FROM, TO = "# <detectors: made by make reference>\n", "# </detectors>\n"


def with_settings(example: str, entries: list[Entry]) -> str:
    """The example of the settings, with all of these detectors and their options in its place.

    Raises ValueError where it has no such place.
    """
    before, _, rest = example.partition(FROM)
    _, mark, after = rest.partition(TO)
    if not mark:
        raise ValueError(f"there are no lines {FROM.strip()} and {TO.strip()}")
    return "".join([before, FROM, "detectors:\n", *map(setting, entries), TO, after])


def setting(one: Entry) -> str:
    """One detector with its defaults, as YAML; one that is quiet is commented out."""
    off = "" if one.on else "#"
    lines = [*comment(one.title + ("." if one.on else ". Quiet: it runs only if named."), 2)]
    lines += [f"  {off}{one.name}:", "    #mode: observe"]
    for option in one.options:
        lines += comment(option.description, 4)
        lines.append(f"    {off}{option.name}: {option.default}")
    return "\n".join(lines) + "\n"


def comment(text: str, indent: int) -> list[str]:
    space = " " * indent
    return wrap(text, 100, initial_indent=f"{space}# ", subsequent_indent=f"{space}# ")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def link(technique: str) -> str:
    return f"[{technique}]({ATTACK}{technique.replace('.', '/')}/)"


def text(one: Entry) -> str:
    """All about one detector, for a terminal."""
    parts: Mapping[str, Iterable[str]] = {
        "events": one.events,
        "ATT&CK": one.techniques,
        "what may be no attack": one.false_positives,
        "what to do now": [f"{number}. {step}" for number, step in enumerate(one.advice, 1)],
        "options": [f"{o.name} (default: {o.default})  {o.description}" for o in one.options],
        "see": one.references,
    }
    lines = [
        f"{one.name}: {one.title}",
        f"from {one.origin}; " + ("runs unless it is turned off" if one.on else "runs if named"),
        "",
        one.description,
        "",
        f"severity: {one.severity}",
    ]
    for title, texts in parts.items():
        if shown := [f"  {text}" for text in texts]:
            lines += ["", title, *shown]
    return "\n".join(lines)
