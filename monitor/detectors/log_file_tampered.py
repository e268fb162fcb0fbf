"""CloudTrail's digests show that a log file, or a digest, was changed, moved or taken away.

Only with `verify_digests: true` in the settings. Without the records of an hour nobody can say what
was done to a key in it.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detection import finding
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.plugins import NoOptions

TITLES = {
    "bad_signature": "A CloudTrail digest is not signed by CloudTrail",
    "no_key": "The key that signed a CloudTrail digest is not known",
    "wrong_place": "A CloudTrail digest is not where it says that it is",
    "hash_mismatch": "A CloudTrail log file was changed",
    "missing_log": "A CloudTrail log file was taken away",
    "broken_chain": "A CloudTrail digest was changed or taken away",
    "chain_restarted": "The chain of CloudTrail's digests begins anew",
}


class LogFileTampered:
    name: ClassVar = "log_file_tampered"
    title: ClassVar = "CloudTrail log file tampered with"
    events: ClassVar = frozenset({("kms-monitor", "DigestProblem")})
    Options: ClassVar[type[NoOptions]] = NoOptions

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def inspect(self, event: Event) -> Iterable[Finding]:
        details = {name: str(value) for name, value in event.request().items()}
        problem = details.get("problem", "")
        # A chain also begins anew when a trail is made; all else has no innocent cause.
        severity = Severity.MEDIUM if problem == "chain_restarted" else Severity.HIGH
        title = TITLES.get(problem, self.title)
        return [
            finding(self.name, event, title, severity, kind=Kind.NOTICE, details=details),
        ]
