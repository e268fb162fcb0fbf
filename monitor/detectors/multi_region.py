"""Multi-Region keys: a replica made, the primary moved.

Replicas have the same material, but a state and a policy of their own, in a Region that perhaps
nobody watches (aws-facts 3.4).
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.knowledge import Knowledge
from monitor.parameters import region_name, said, text

GUIDE = "https://docs.aws.amazon.com/kms/latest/developerguide/"
API = "https://docs.aws.amazon.com/kms/latest/APIReference/"
SERVICE = "kms.amazonaws.com"


class KeyReplicated(Base[NoOptions]):
    name: ClassVar = "key_replicated"
    title: ClassVar = "KMS key replicated"
    about: ClassVar = About(
        description="Somebody made a replica of a multi-Region KMS key in another Region. It "
        "decrypts all that the key has encrypted, under a policy of its own.",
        severity="medium; high if the check against locking oneself out was bypassed, or if no key "
        "is known in that Region, so that nobody may watch it; an attempt is medium if AWS denied "
        "it, else low",
        techniques=("T1098", "T1562"),
        false_positives=("A system is set up in a second Region.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "Compare the replica's key policy with its primary's.",
            "See that the replica's Region is guarded too.",
        ),
        references=(
            GUIDE + "multi-region-keys-replicate.html",
            GUIDE + "ct-replicate-key.html",
            API + "API_ReplicateKey.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "ReplicateKey")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Replicating a KMS key")]
        request = event.request()
        region = region_name(text(request, "replicaRegion"))
        unseen = is_unseen(self.knowledge, event, region)
        bypass = said(request, "bypassPolicyLockoutSafetyCheck")
        details: dict[str, str] = {}
        if region:
            details["replica_region"] = region
        if unseen:
            details["region_known"] = "no: no key is known there, it may not be guarded"
        if bypass:
            details["lockout_check"] = "bypassed"
        if text(request, "policy"):
            details["policy"] = "its own"
        replica = metadata_arn(event.response())
        if replica:
            details["replica"] = replica
        return [
            self.finding(
                event,
                self.title + (f" to {region}" if region else ""),
                Severity.HIGH if bypass or unseen else Severity.MEDIUM,
                kind=Kind.NOTICE,
                aspect=Aspect.REPLICATION,
                details=details,
            )
        ]


class PrimaryRegionChanged(Base[NoOptions]):
    name: ClassVar = "primary_region_changed"
    title: ClassVar = "Primary of a multi-Region KMS key moved"
    about: ClassVar = About(
        description="Somebody made another Region that of the primary of a multi-Region KMS key. "
        "Rotation is set there from now on, and whether replicas can be made or the last copy "
        "deleted is decided there.",
        severity="medium; high if no key is known in the new Region, so that nobody may watch it; "
        "an attempt is medium if AWS denied it, else low",
        techniques=("T1098", "T1562"),
        false_positives=("A system moves to another Region, or a move is rehearsed.",),
        advice=(
            "Find out whether whoever did it was meant to.",
            "See that the new Region is guarded too.",
            "Move it back with UpdatePrimaryRegion, called in the Region where the primary is now.",
        ),
        references=(
            GUIDE + "multi-region-update.html",
            GUIDE + "ct-update-primary-region.html",
            API + "API_UpdatePrimaryRegion.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "UpdatePrimaryRegion")})

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.failed:
            return [self.attempt(event, "Moving the primary of a multi-Region KMS key")]
        if self.told_elsewhere(event):
            return []
        region = region_name(text(event.request(), "primaryRegion"))
        unseen = is_unseen(self.knowledge, event, region)
        details = {"new_primary_region": region} if region else {}
        if unseen:
            details["region_known"] = "no: no key is known there, it may not be guarded"
        if event.actor.invoked_by == SERVICE and not event.actor.arn:
            details["caller"] = "is named in the record of the Region where the primary was"
        return [
            self.finding(
                event,
                self.title + (f" to {region}" if region else ""),
                Severity.HIGH if unseen else Severity.MEDIUM,
                kind=Kind.NOTICE,
                aspect=Aspect.REPLICATION,
                details=details,
            )
        ]

    def told_elsewhere(self, event: Event) -> bool:
        """Whether the same move has a record that says more, in a Region that we know.

        The old primary's Region has the caller's record; the new one's has KMS's own, which does
        not say who it was (aws-facts 2.2). It is told only where the other may never come.
        """
        key = event.key
        known = self.knowledge.key(key)
        old = known.primary if known else None
        return (
            event.actor.invoked_by == SERVICE
            and old is not None
            and old != key
            and self.knowledge.key(old) is not None
        )


def is_unseen(knowledge: Knowledge, event: Event, region: str) -> bool:
    """Whether keys of the account are known, but none in this Region."""
    key = event.key
    account = key.account if key else event.recipient_account_id
    regions = {one.region for one in knowledge.keys if one.account == account}
    return bool(region and regions) and region not in regions


def metadata_arn(response: dict[str, Any]) -> str:
    """The replica's ARN out of the answer, where it is one."""
    metadata = response.get("replicaKeyMetadata")
    arn = text(metadata, "arn") if isinstance(metadata, dict) else ""
    return arn if len(arn) <= 2048 and arn.startswith("arn:") else ""
