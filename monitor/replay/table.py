"""The report for a terminal, as lines of JSON, and in one sentence."""

import json
from collections import Counter
from collections.abc import Iterable

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.finding import Severity
from monitor.key import KeyRef
from monitor.logs import printable
from monitor.replay.judging import Row
from monitor.replay.run import Result

STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "info": "dim",
}
WIDE = 120
"""Columns where nobody looks: off a terminal rich would assume 80."""


def json_line(row: Row) -> str:
    """Only ASCII, so that nothing in it can steer a terminal."""
    return json.dumps(msgspec.structs.asdict(row))


def print_table(rows: Iterable[Row], file_console: Console) -> None:
    """One finding after the other, oldest first; it fits 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0), header_style="bold")
    table.add_column("time", no_wrap=True, width=10)
    table.add_column("severity", no_wrap=True, width=8)
    table.add_column("what", overflow="fold", ratio=3)
    table.add_column("would have done", overflow="fold", ratio=2)
    for row in rows:
        day, _, moment = row.event_time.removesuffix("Z").partition("T")
        what = Text(printable(row.title))
        for line in about(row):
            what.append(f"\n{printable(line)}", "dim")
        table.add_row(
            Text.assemble(f"{day}\n", (moment, "dim")),
            Text(row.severity, STYLES[row.severity]),
            what,
            Text(printable(row.would), "bold" if row.would.startswith("would call") else ""),
        )
    file_console.print(table)


def about(row: Row) -> list[str]:
    """Which key, where, by whom."""
    key = KeyRef.parse(row.key_arn)
    place = f"{key.account} {key.region}" if key else f"{row.account} {row.region}"
    lines = [key.key_id if key else "an unnamed key", place.strip(), by(row)]
    return [line for line in lines if line]


def by(row: Row) -> str:
    return f"by {short(row.actor)}" + (f", with {row.tool}" if row.tool else "")


def short(actor: str) -> str:
    """An ARN without what all ARNs of the account share."""
    return actor.split(":", 5)[5] if actor.startswith("arn:") and actor.count(":") >= 5 else actor


def summary(result: Result) -> list[str]:
    """What was read, and what was found in it."""
    gathered, judged = result.gathered, result.judged
    seconds = max(result.seconds, 0.001)
    read = f"{count(gathered.read, 'event')} read in {count(gathered.inputs, 'file')}"
    read += f" ({size(gathered.size)} in {seconds:,.1f} s, {size(gathered.size / seconds)}/s)"
    if gathered.resumed:
        read += f"; {count(gathered.resumed, 'file')} of them read earlier"
    if judged.duplicates:
        read += f"; {count(judged.duplicates, 'duplicate')} left out"
    lines = [read]
    if gathered.unreadable:
        lines.append(f"NOT everything could be read: {count(gathered.unreadable, 'input')}")
    if judged.broken:
        lines.append(f"NOT everything could be judged: {count(judged.broken, 'event')}")
    found = Counter(row.severity for row in judged.rows)
    parts = [f"{found[one.word]:,} {one.word}" for one in reversed(Severity) if found[one.word]]
    many = count(len(judged.rows), "finding")
    lines.append(f"{many}: {', '.join(parts)}" if parts else "nothing found")
    if silenced := sum(bool(row.suppressed) for row in judged.rows):
        lines.append(f"{silenced:,} of them suppressed: nobody would be told")
    return lines


def count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def size(number: float) -> str:
    """Bytes, in the unit that people would choose."""
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number / 1e3:,.1f} kB"
