"""A key that had been put back was taken away again: somebody fights for it."""

from collections.abc import Iterable
from itertools import groupby
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.correlation import TAKES_AWAY, level_of, story
from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.windows import Entry, Window, time_of

PUTS_BACK = frozenset({"CancelKeyDeletion", "EnableKey", "ImportKeyMaterial"})


class AgainOptions(BaseModel, extra="forbid"):
    hours: int = Field(24, ge=1, le=168, description="Repeats within so many hours are counted.")


class KeyBrokenAgain(Base[AgainOptions]):
    name: ClassVar = "key_broken_again"
    title: ClassVar = "KMS key contested"
    about: ClassVar = About(
        description="A KMS key that had been disabled, scheduled for deletion or emptied, and then put "
        "back by anybody, was taken away again. Whoever does that saw the repair and does not give up.",
        severity="high the first time; critical from the second on, told again at 2, 3, 5, 10, 30 and "
        "100 times",
        techniques=("T1485", "T1489"),
        false_positives=(
            "Somebody disables a key on purpose, and kms-monitor puts it back: approve the change.",
            "A drill or a test switches a key off and on.",
        ),
        advice=(
            "Revoke the sessions of the role or the keys of the user: repairs alone do not end it.",
            "If the change is wanted, name who makes it under `approved_actors`.",
            "See that the key is as it should be now.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/enabling-keys.html",
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-scheduling-key-deletion.html",
        ),
    )
    events: ClassVar = frozenset((KMS, name) for name in TAKES_AWAY | PUTS_BACK)
    Options: ClassVar[type[BaseModel]] = AgainOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key = event.key
        if event.failed or key is None:
            return []
        within = self.options.hours * 3600.0
        window = self.knowledge.windows.of(self.name, key.arn)
        who = event.actor.principal
        window.note(event.event_id, event.time, event.event_name, who, keep=2 * within)
        times, steps = most_repeats(window, event.event_id, within)
        if not window.rises(event.event_id, level_of(times, 1, (2, 3, 5, 10, 30, 100)), within):
            return []
        often = f" {times} times" if times > 1 else ""
        return [
            self.finding(
                event,
                f"{self.title}: broken again{often} after it had been put back",
                Severity.CRITICAL if times > 1 else Severity.HIGH,
                kind=Kind.NOTICE,
                details={"times": str(times), "steps": story(steps)},
            )
        ]


def most_repeats(window: Window, event_id: str, within: float) -> tuple[int, list[Entry]]:
    """How often it was broken again in any stretch around the event, and that stretch."""
    found = ((repeats(span), span) for span in window.spans(event_id, within))
    return max(found, key=lambda one: one[0], default=(0, []))


def repeats(entries: Iterable[Entry]) -> int:
    """How often the key was taken away after it had been put back after it had been taken away.

    Within one second, CloudTrail's resolution, the order is not known. A key that was broken before
    counts as put back and broken again; one that was not, as broken and put back.
    """
    times, broken, back = 0, False, False
    for _, second in groupby(entries, key=time_of):
        names = {one.what for one in second}
        taken, put = bool(names & TAKES_AWAY), bool(names & PUTS_BACK)
        back = back or (broken and put)
        if taken and back:
            times, back = times + 1, False
        elif taken and put:  # broken and mended within the second
            back = True
        broken = broken or taken
    return times
