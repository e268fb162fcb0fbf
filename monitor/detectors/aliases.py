"""Aliases: made, pointed at another key, deleted.

Programs name keys by their aliases. Whoever points an alias at another key has all that is encrypted
from then on encrypted under that key; what was encrypted before cannot be decrypted by it. KMS does
not say where the alias pointed before (aws-facts 2.2): only who remembers, knows.
"""

from collections.abc import Iterable
from typing import ClassVar

from monitor.arns import arn_of
from monitor.decoding import part
from monitor.detector import KMS, About, Base, NoOptions, is_denied
from monitor.event import Event, Resource
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.key import KeyRef
from monitor.knowledge import Knowledge
from monitor.parameters import alias_arn_in, alias_name, short, text

GUIDE = "https://docs.aws.amazon.com/kms/latest/developerguide/"
API = "https://docs.aws.amazon.com/kms/latest/APIReference/"
AWS_OWN = "alias/aws/"
"""Aliases of AWS managed keys, which only AWS makes: whoever else tries is refused."""


class AliasCreated(Base[NoOptions]):
    name: ClassVar = "alias_created"
    title: ClassVar = "Alias of a KMS key created"
    about: ClassVar = About(
        description="Somebody gave a KMS key a name. Where access is granted by alias "
        "(kms:ResourceAliases) that is a change of rights. An alias that was known to point at "
        "another key, and is made anew, was pointed away by deleting it first.",
        severity="low; high if the alias should point at another key; info if it points again at "
        "the key that it should; an attempt that AWS denied is medium, any other failure is silent",
        techniques=("T1098", "T1565"),
        false_positives=("Every new key that is used by its name gets an alias.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            (
                "If the alias should point at another key, point it back with UpdateAlias and encrypt "
                "again what was encrypted under the wrong one."
            ),
        ),
        references=(GUIDE + "alias-create.html", API + "API_CreateAlias.html"),
    )
    events: ClassVar = frozenset({(KMS, "CreateAlias")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        alias = alias_of(event)
        if event.failed:
            denied = is_denied(event.error_code)
            what = "Creating an alias of a KMS key"
            return [self.attempt(event, what, resource=alias_arn(event))] if denied else []
        if alias.startswith(AWS_OWN):
            return []
        was, now = should_point_at(self.knowledge, event, alias), event.key
        severity, kind, title = Severity.LOW, Kind.NOTICE, f"{self.title}{named(alias)}"
        if was is not None and now is not None:
            right = was == now
            severity = Severity.INFO if right else Severity.HIGH
            kind = Kind.RECOVERY if right else Kind.DAMAGE
            title = f"Alias{named(alias)} made anew" + ("" if right else " on another KMS key")
        return [
            self.finding(
                event,
                title,
                severity,
                kind=kind,
                aspect=Aspect.ALIASES,
                details=alias_details(alias, was, now),
                key=was,
            )
        ]


class AliasRepointed(Base[NoOptions]):
    name: ClassVar = "alias_repointed"
    title: ClassVar = "Alias pointed at another KMS key"
    about: ClassVar = About(
        description="Somebody pointed an alias at another KMS key. What is encrypted by that name "
        "from now on is encrypted under the other key; what was encrypted before cannot be "
        "decrypted by that name.",
        severity="high; info if the alias points again at the key that it should; an attempt is "
        "medium if AWS denied it, else low",
        techniques=("T1565", "T1486"),
        false_positives=("A key is rotated by hand: a new key takes over the alias of the old.",),
        advice=(
            (
                "Find out whose key the new target is, who may delete it, and whether whoever did it "
                "was meant to."
            ),
            "Point the alias back with UpdateAlias.",
            (
                "Encrypt again what was encrypted under the wrong key meanwhile, and do not delete "
                "that key before."
            ),
        ),
        references=(GUIDE + "alias-update.html", API + "API_UpdateAlias.html"),
    )
    events: ClassVar = frozenset({(KMS, "UpdateAlias")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        alias = alias_of(event)
        if event.failed:
            what = "Pointing an alias at another KMS key"
            return [self.attempt(event, what, resource=alias_arn(event))]
        was, now = should_point_at(self.knowledge, event, alias), event.key
        right = was is not None and was == now
        title = f"Alias{named(alias)} pointed at another KMS key"
        if right:
            title = f"Alias{named(alias)} points at the right KMS key again"
        return [
            self.finding(
                event,
                title,
                Severity.INFO if right else Severity.HIGH,
                kind=Kind.RECOVERY if right else Kind.DAMAGE,
                aspect=Aspect.ALIASES,
                details=alias_details(alias, was, now),
                key=was,
            )
        ]


class AliasDeleted(Base[NoOptions]):
    name: ClassVar = "alias_deleted"
    title: ClassVar = "Alias of a KMS key deleted"
    about: ClassVar = About(
        description="Somebody deleted an alias. The key lives, but whoever names it by that alias "
        "can neither encrypt nor decrypt, and rights granted by alias (kms:ResourceAliases) are "
        "gone.",
        severity="medium; high if the alias is known as one that a key should have; an attempt is "
        "medium if AWS denied it, else low",
        techniques=("T1489", "T1531"),
        false_positives=("A key and its alias are retired together.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Make the alias anew with CreateAlias on the same key.",
        ),
        references=(GUIDE + "alias-delete.html", API + "API_DeleteAlias.html"),
    )
    events: ClassVar = frozenset({(KMS, "DeleteAlias")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        alias = alias_of(event)
        if event.failed:
            return [self.attempt(event, "Deleting an alias", resource=alias_arn(event))]
        was = should_point_at(self.knowledge, event, alias)
        details = {"alias": short(alias)} if alias else {}
        if was is not None and was != event.key:
            # It was pointed away before: now it is off the wrong key, but still not on the right.
            details["should_point_at"] = was.arn
        return [
            self.finding(
                event,
                f"Alias{named(alias)} deleted" if alias else self.title,
                Severity.MEDIUM if was is None else Severity.HIGH,
                aspect=Aspect.ALIASES,
                details=details,
                key=was,
            )
        ]


def alias_of(event: Event) -> str:
    """`alias/NAME`, from what was asked for, or else from the resources; "" if neither has it."""
    alias = alias_name(text(event.request(), "aliasName"))
    arns = [one.ARN or "" for one in part(event.resources, list[Resource], [])]
    return alias or next((name for arn in arns if (name := alias_name(arn))), "")


def alias_arn(event: Event) -> str:
    """The alias's ARN; of a denied call it may stand in the message only (aws-facts 2.4)."""
    return arn_of(event, "kms", alias_of(event)) or alias_arn_in(event.error_message or "")


def should_point_at(knowledge: Knowledge, event: Event, alias: str) -> KeyRef | None:
    """The key that the alias should point at; None where that is not known."""
    key = event.key
    account = key.account if key else event.recipient_account_id or ""
    region = key.region if key else event.aws_region or ""
    return knowledge.target(account, region, alias)


def alias_details(alias: str, was: KeyRef | None, now: KeyRef | None) -> dict[str, str]:
    found = {"alias": short(alias), "previous_key": was.arn if was else "not known"}
    return found | ({"new_key": now.arn} if now else {})


def named(alias: str) -> str:
    """For a title: its letters were checked, its length is cut."""
    return f" {short(alias)}" if alias else ""
