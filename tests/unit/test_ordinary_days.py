"""An ordinary week pages nobody: who is paged for nothing soon looks at nothing.

What is told all the same, and must be: keys and aliases that preview stacks make (info and low), what
somebody put right again, a failed change of a policy. A key policy that really changed, and a key
that is scheduled for deletion, are told loudly whoever did it: the daemon cannot know that a stack
was a preview's. Name such callers in `approved_actors`, or suppress them.
"""

from collections import Counter
from typing import Any

from monitor.finding import Finding, Kind, Severity
from tests.catalogue import show
from tests.ordinary import DAY, all_detectors
from tests.ordinary_week import stream
from tests.samples import EPOCH


def test_an_ordinary_week_pages_nobody() -> None:
    records, detection = stream(), all_detectors()
    assert len(records) > 5_000

    def told_of(shown: list[dict[str, Any]]) -> list[Finding]:
        found = [finding for record in shown for finding in show(detection, record)]
        # Of a change that nobody minds nobody hears.
        return [one for one in found if one.kind is not Kind.CHANGE]

    told = told_of(records)
    loud = Counter(one.title for one in told if one.severity > Severity.LOW)
    assert not loud
    # Only the preview stacks' keys and aliases, and what is right again, are told of at all.
    kinds = Counter((one.detector, one.severity.word) for one in told)
    heard = [one for one in told if one.detector != "sight_changed"]  # which nobody is told of
    assert len(heard) < len(records) / 30, kinds
    assert not [one for one in told if one.kind is Kind.DAMAGE]
    # Three weeks later the daemon has learned who does what.
    later = stream(EPOCH + 21 * DAY)
    assert {one.detector for one in told_of(later)} == {one.detector for one in told}
