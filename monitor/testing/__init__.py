"""For authors of plugins: events and findings to try them with, and checks of what must hold.

    from monitor.testing import check_detector, record

    def test_alias_deleted() -> None:
        check_detector(
            AliasDeleted,
            fires=[record(eventName="DeleteAlias", requestParameters={"aliasName": "alias/x"})],
            silent=[record(eventName="DeleteAlias", requestParameters={"aliasName": "alias/dev"})],
        )

A check raises `AssertionError` with a sentence that says what is wrong. Nothing here needs AWS, a
network or an event loop, but for `check_responder` and `check_escrow`, which are coroutines.
"""

from monitor.testing.detectors import check_detector
from monitor.testing.escrows import check_escrow
from monitor.testing.fakes import (
    ACCOUNT,
    AT,
    KEY,
    REGION,
    HandClock,
    decision,
    event,
    finding,
    knowledge,
    record,
    services,
)
from monitor.testing.responders import check_responder

__all__ = [
    "ACCOUNT",
    "AT",
    "KEY",
    "REGION",
    "HandClock",
    "check_detector",
    "check_escrow",
    "check_responder",
    "decision",
    "event",
    "finding",
    "knowledge",
    "record",
    "services",
]
