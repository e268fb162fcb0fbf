"""What authors of plugins are given to test with: it passes what is right and finds what is wrong.

In scope: `monitor.testing`, and the examples in docs/plugins.md.
"""

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

import monitor
from monitor.decision import Action, Decision, Outcome
from monitor.detector import KMS, About, Base, NoOptions
from monitor.detectors.key_deletion_scheduled import KeyDeletionScheduled
from monitor.detectors.key_disabled import KeyDisabled
from monitor.errors import Denied, WorthRetrying
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.key import KeyState
from monitor.testing import (
    KEY,
    check_detector,
    check_responder,
    decision,
    event,
    finding,
    knowledge,
    record,
)

DOCS = Path(monitor.__file__).parents[1] / "docs"
ABOUT = About(
    description="An alias is gone.",
    severity="medium",
    techniques=("T1489",),
    false_positives=("It was meant.",),
    advice=("Make it again.",),
    references=("https://docs.aws.amazon.com/",),
)
GONE = record(eventName="DeleteAlias", requestParameters={"aliasName": "alias/x"})


class Good(Base[NoOptions]):
    name: ClassVar = "good"
    title: ClassVar = "KMS alias deleted"
    about: ClassVar = ABOUT
    events: ClassVar = frozenset({(KMS, "DeleteAlias")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        kind = Kind.ATTEMPT if event.failed else Kind.NOTICE
        alias = event.request().get("aliasName")
        if event.failed or isinstance(alias, str):
            yield self.finding(event, self.title, Severity.MEDIUM, kind=kind)


def test_the_fakes_are_what_the_daemon_sees() -> None:
    assert event().key == KEY
    assert event(resources=..., requestParameters=..., responseElements=...).key is None
    assert finding().key == KEY
    assert decision().finding == finding()
    assert knowledge(accounts=["444455556666"]).accounts == {"111122223333", "444455556666"}


def test_good_ones_pass() -> None:
    assert [one.kind for one in check_detector(Good, fires=[GONE])] == [Kind.NOTICE]
    check_detector(KeyDisabled, fires=[record()], silent=[record(eventName="EnableKey")])
    scheduled = record(eventName="ScheduleKeyDeletion", responseElements=None)
    (found,) = check_detector(
        KeyDeletionScheduled, options={"short_window_days": 30}, fires=[[record(), scheduled]]
    )
    assert (found.caused, found.severity) == (KeyState.PENDING_DELETION, Severity.CRITICAL)


class Damage(Good):
    def inspect(self, event: Event) -> Iterable[Finding]:
        return [self.finding(event, self.title, Severity.MEDIUM)]


class Throws(Good):
    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return []
        event.request()["aliasName"].removeprefix("alias/")
        return [self.finding(event, self.title, Severity.MEDIUM, kind=Kind.NOTICE)]


class Counts(Good):
    seen: ClassVar[list[Event]] = []

    def inspect(self, event: Event) -> Iterable[Finding]:
        self.seen.append(event)
        title = f"{self.title} {len(self.seen)}"
        return [self.finding(event, title, Severity.LOW, kind=Kind.NOTICE)]


class Forgets(Good):
    def __init__(self, options: NoOptions, knowledge: Any) -> None:
        super().__init__(options, knowledge)
        self.seen = 0

    def inspect(self, event: Event) -> Iterable[Finding]:
        self.seen += 1
        return [
            self.finding(event, self.title, Severity.LOW, kind=Kind.NOTICE, occasion=str(self.seen))
        ]


class Foreign(Good):
    def inspect(self, event: Event) -> Iterable[Finding]:
        return [finding(detector="key_disabled")]


class Silent(Good):
    def inspect(self, event: Event) -> Iterable[Finding]:
        return []


class NoAdvice(Good):
    about: ClassVar = About(
        description="x.", severity="x", techniques=(), false_positives=(), advice=(), references=()
    )


class Undescribed(Good):
    class Options(BaseModel, extra="forbid"):
        prefix: str = ""


class Untitled(Good):
    title: ClassVar = ""


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Damage,
            "a call that failed .* changes nothing: it may be an attempt or evidence, not dam",
        ),
        (Throws, "it broke: .*Error in test_testing.py"),
        (Counts, "it says something else each time"),
        (Forgets, "a redelivery must give the same findings"),
        (Foreign, "a detector must give its findings its own name"),
        (Silent, "fires.0.: it does not fire"),
        (NoAdvice, "about.advice: say what to do now"),
        (Undescribed, "Options.prefix: has no description"),
        (Untitled, "title must be a text"),
    ],
)
def test_what_is_wrong_is_said(kind: type[Good], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_detector(kind, fires=[GONE])


def test_what_fires_where_it_should_not_is_said() -> None:
    with pytest.raises(AssertionError, match=r"silent.0.: it fires"):
        check_detector(Good, fires=[GONE], silent=[[record(), GONE]])
    with pytest.raises(AssertionError, match="give at least one record"):
        check_detector(Good, fires=[])


class Fixer:
    """Repairs a key of a fake KMS, or what it is told to do wrong."""

    name: ClassVar = "fixer"
    repairs: ClassVar = True
    aspects: ClassVar[frozenset[Any]] = frozenset()
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, fault: str = "", error: Exception | None = None) -> None:
        self.fault = fault
        self.error = error
        self.calls: list[str] = []

    async def respond(self, decision: Decision) -> Any:
        if self.error is not None:
            raise self.error
        if decision.dry_run and self.fault != "writes in observe":
            return Action(self.name, Outcome.WOULD)
        if not self.calls or self.fault == "twice":
            self.calls.append("EnableKey")
        if self.fault == "no answer":
            return None
        return Action("other" if self.fault == "name" else self.name, Outcome.DONE)

    async def serve(self) -> None:
        pass

    def problem(self) -> str | None:
        return None


async def check(fixer: Fixer) -> list[Action]:
    return await check_responder(fixer, [decision()], effects=lambda: list(fixer.calls))


async def test_a_good_responder_passes() -> None:
    assert [one.outcome for one in await check(Fixer())] == [Outcome.DONE]
    for error in (WorthRetrying("throttled"), Denied("no")):
        assert await check(Fixer(error=error)) == []


@pytest.mark.parametrize(
    ("fixer", "words"),
    [
        (Fixer("writes in observe"), "in mode observe it changed something"),
        (Fixer("twice"), "the second time it changed something again"),
        (Fixer("no answer"), "must answer with an Action"),
        (Fixer("name"), "must bear its own name"),
        (Fixer(error=KeyError("x")), "raised KeyError .*; a responder raises only"),
    ],
)
async def test_a_responder_that_is_wrong_is_told_so(fixer: Fixer, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        await check(fixer)


async def test_a_responder_of_another_shape_is_told_so() -> None:
    fixer = Fixer()
    fixer.repairs = None  # type: ignore[misc, assignment]
    with pytest.raises(AssertionError, match="repairs must be true or false"):
        await check(fixer)


def test_the_examples_of_the_docs_work(tmp_path: Path) -> None:
    text = (DOCS / "plugins.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(block, names)
    names["test_it"]()
    asyncio.run(names["test_it_tells"](tmp_path))
