"""Every error that kms-monitor raises on purpose.

    MonitorError
    ├── SettingsError      the settings are wrong; exit code 2, one line for each fault
    ├── PluginError        a plugin of others is broken; reported, and the rest goes on without it
    ├── Unreadable         a body that no decoder understands; the delivery is REJECTed
    ├── WorthRetrying      a responder's action may succeed later; the delivery is RETRYed
    │   └── Busy           another replica does it just now: nothing was tried here
    └── NotWorthRetrying   a responder's action never will; reported loudly, then settled
        └── Denied         AWS refuses us the right; people have to mend it

A responder raises only the last four (`monitor.plugins.Responder`). Anything else that escapes a
plugin is a defect of the plugin, caught and counted where design.md section 2 allows it.
"""

from collections.abc import Sequence
from typing import Literal

Flaw = Literal[
    "bad_signature",
    "bad_text",
    "bad_time",
    "bomb",
    "corrupt",
    "empty",
    "empty_batch",
    "missing_field",
    "mixed_batch",
    "nameless_record",
    "no_archive",
    "not_base64",
    "not_json",
    "policy_document",
    "sender_not_allowed",
    "too_deep",
    "too_large",
    "topic_not_allowed",
    "truncated",
    "unknown_command",
    "unknown_shape",
    "unknown_trigger",
    "wrong_type",
]
"""Why a body cannot be read, in words fit for a metric's label."""


class MonitorError(Exception):
    """Base of all the errors here."""


class SettingsError(MonitorError):
    """The settings are wrong. `faults` has one complete sentence for each fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class PluginError(MonitorError):
    """A plugin of others that cannot be used. `problem` is one sentence, without a full stop."""

    def __init__(self, kind: str, name: str, origin: str, problem: str) -> None:
        """`kind`: detector, responder, escrow or file. `origin`: its distribution, or its file."""
        super().__init__(f"{kind} {name} of {origin}: {problem}")
        self.kind = kind
        self.name = name
        self.origin = origin
        self.problem = problem


class Unreadable(MonitorError):
    """A body that cannot be read."""

    def __init__(self, reason: Flaw, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class WorthRetrying(MonitorError):
    """The action failed in a way that may pass: throttling, time-outs, stale reads.

    `code` is AWS's error code where AWS said no, `calls` the writing calls that had succeeded before.
    """

    def __init__(self, message: str, *, code: str = "", calls: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.calls = tuple(calls)


class Busy(WorthRetrying):
    """Somebody else is at it just now."""


class NotWorthRetrying(MonitorError):
    """The action failed for good; only people or another event can change that.

    `code` is AWS's error code where AWS said no, `calls` the writing calls that had succeeded before.
    """

    def __init__(self, message: str, *, code: str = "", calls: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.calls = tuple(calls)


class Denied(NotWorthRetrying):
    """AWS says that we may not. The text names the call and the resource, never a secret."""
