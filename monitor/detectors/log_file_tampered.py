"""CloudTrail's digests show that a log file, or a digest, was changed, moved or taken away.

Only with `verify_digests: true` in the settings. Without the records of an hour nobody can say what
was done to a key in it.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.detector import OWN, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity

TITLES = {
    "bad_signature": "A CloudTrail digest is not signed by CloudTrail",
    "no_key": "The key that signed a CloudTrail digest is not known",
    "wrong_place": "A CloudTrail digest is not where it says that it is",
    "hash_mismatch": "A CloudTrail log file was changed",
    "missing_log": "A CloudTrail log file was taken away",
    "broken_chain": "A CloudTrail digest was changed or taken away",
    "chain_restarted": "The chain of CloudTrail's digests begins anew",
}


class LogFileTampered(Base[NoOptions]):
    name: ClassVar = "log_file_tampered"
    title: ClassVar = "CloudTrail log file tampered with"
    about: ClassVar = About(
        description="CloudTrail's digests show that a log file, or a digest, was changed, moved or "
        "taken away. Without the records of an hour nobody can say what was done to a key in it.",
        severity="high; medium where a chain of digests begins anew",
        techniques=("T1070", "T1565.001"),
        false_positives=(
            "A trail was made anew, or log file validation was switched off and on again.",
        ),
        advice=(
            "Keep what is in the bucket as it is, and find out who could write to it.",
            "Look into the event history for the time that is missing: kms-monitor replay.",
        ),
        references=(
            "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html",
        ),
    )
    events: ClassVar = frozenset({(OWN, "DigestProblem")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        details = {name: str(value) for name, value in event.request().items()}
        problem = details.get("problem", "")
        # A chain also begins anew when a trail is made; all else has no innocent cause.
        severity = Severity.MEDIUM if problem == "chain_restarted" else Severity.HIGH
        title = TITLES.get(problem, self.title)
        return [
            self.finding(event, title, severity, kind=Kind.NOTICE, details=details),
        ]
