"""One caller took many keys away, or made many, within minutes.

One disabled key may be a mistake or routine; three within ten minutes are an attack or a script that
went wrong, and the next ones follow.
"""

from collections.abc import Iterable
from typing import ClassVar, Literal, get_args

from pydantic import BaseModel, Field

from monitor.correlation import level_of, listed
from monitor.detector import KMS, About, Base
from monitor.event import Event
from monitor.finding import Finding, Kind, Severity
from monitor.parameters import short
from monitor.windows import Window

Countable = Literal[
    "DeleteImportedKeyMaterial",
    "DisableKey",
    "DisableKeyRotation",
    "PutKeyPolicy",
    "RevokeGrant",
    "ScheduleKeyDeletion",
]


class ManyKeysOptions(BaseModel, extra="forbid"):
    keys: int = Field(
        3,
        ge=2,
        le=400,
        description="So many distinct keys, damaged by one user or role, are told; then again at "
        "10, 30, 100 and 300.",
    )
    created: int = Field(
        20, ge=2, le=400, description="So many keys, created by one user or role, are told."
    )
    minutes: int = Field(10, ge=1, le=1440, description="Within so many minutes.")
    calls: list[Countable] = Field(
        ["DeleteImportedKeyMaterial", "DisableKey", "PutKeyPolicy", "ScheduleKeyDeletion"],
        description="The calls that count as damage. DisableKeyRotation takes no key away, and "
        "RevokeGrant is what AWS services do all day: both count only where they are named here.",
    )


class ManyKeys(Base[ManyKeysOptions]):
    name: ClassVar = "many_keys"
    title: ClassVar = "Many KMS keys at once"
    about: ClassVar = About(
        description="One user or role disabled, scheduled for deletion, emptied or locked several "
        "distinct KMS keys within minutes, as somebody does who holds data to ransom. Or it created "
        "very many, as somebody does who encrypts data under keys of their own.",
        severity="critical for damaged keys, and told again at 10, 30, 100 and 300 of them; medium "
        "for created ones",
        techniques=("T1485", "T1486", "T1489"),
        false_positives=(
            "Infrastructure as code tears an environment down, or changes the policies of many keys.",
            "A team retires an application and disables its keys one after the other.",
        ),
        advice=(
            "Revoke the sessions of the role or the keys of the user at once, unless you know of it.",
            "See that every key that is named was put back, and look for further ones by this caller.",
            "Deny kms:DisableKey and kms:ScheduleKeyDeletion by a service control policy meanwhile.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html",
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html",
        ),
    )
    events: ClassVar = frozenset((KMS, name) for name in (*get_args(Countable), "CreateKey"))
    Options: ClassVar[type[BaseModel]] = ManyKeysOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key, who = event.key, event.actor.principal
        if event.failed or key is None:
            return []
        created = event.event_name == "CreateKey"
        if not created and event.event_name not in self.options.calls:
            return []
        first = self.options.created if created else self.options.keys
        within = self.options.minutes * 60.0
        window = self.knowledge.windows.of(self.name, f"created by {who}" if created else who)
        window.note(event.event_id, event.time, event.event_name, key.arn, keep=2 * within)
        keys = most_keys(window, event.event_id, within)
        if not window.rises(event.event_id, level_of(len(keys), first), within):
            return []
        done = "created" if created else "damaged"
        return [
            self.finding(
                event,
                f"{len(keys)} KMS keys were {done} within {self.options.minutes} minutes "
                f"by {short(who)}",
                Severity.MEDIUM if created else Severity.CRITICAL,
                kind=Kind.NOTICE,
                details={
                    "keys": listed(arn for arn, _ in keys),
                    "calls": listed(sorted({what for _, what in keys})),
                },
            )
        ]


def most_keys(window: Window, event_id: str, within: float) -> list[tuple[str, str]]:
    """The most distinct keys in any stretch around the event, with what befell each first."""
    most: dict[str, str] = {}
    for span in window.spans(event_id, within):
        keys: dict[str, str] = {}
        for entry in span:
            keys.setdefault(entry.about, entry.what)
        if len(keys) > len(most):
            most = keys
    return list(most.items())
