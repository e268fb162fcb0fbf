"""How explanations look on a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.dlq.explain import Explanation
from monitor.dlq.queues import Dlq

FIX = {
    "undelivered": "mend what the error says, then redrive",
    "broken": "update or disable the detector, then redrive",
}


def print_table(console: Console, dlq: Dlq, explained: list[Explanation], more: int) -> None:
    """One dead-letter queue. `more`: about how many further messages it has."""
    count = len(explained)
    rest = f", and about {more} more (--limit)" if more else ""
    console.print(
        Text(f"{dlq.name}: {count} dead message{'' if count == 1 else 's'}{rest}", style="bold")
    )
    if not explained:
        return
    table = Table("age", "receipts", "reason", "what it is", box=None, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    table.columns[3].overflow = "fold"
    for one in explained:
        table.add_row(age(one.age_seconds), str(one.receive_count), one.reason, what(one))
    console.print(table)


def what(one: Explanation) -> Text:
    """Everything about one message. Text, not markup: brackets in it mean nothing."""
    event = one.event
    text = Text(one.why)
    if event.event_name:
        by = f" by {event.actor}" if event.actor else ""
        text.append(f"\n{event.event_name}{by}", style="bold")
    line(text, "event", " ".join(filter(None, [event.event_id, event.event_time])))
    line(text, "key", event.key)
    for found in one.findings:
        seen = f"finding {found.detector} ({found.title}, {found.severity})"
        line(text, "would be", f"handled: {seen}, decision {found.verdict} ({found.because})")
    if one.undelivered:
        line(text, "rule", one.undelivered.rule_arn)
        line(text, "target", one.undelivered.target_arn)
    line(text, "do", FIX.get(one.reason, ""))
    line(text, "message", one.message_id)
    line(text, "body", one.body)
    return text


def line(text: Text, name: str, value: str) -> None:
    if value:
        text.append(f"\n{name:<9}", style="dim")
        text.append(value)


def age(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
