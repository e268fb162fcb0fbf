"""Grants: somebody gave a right to a key to an outsider, or took one from whoever needs it.

A grant works beside the key's policy and does not show in it (KMS developer guide, "Grants in AWS
KMS"). AWS services make and retire their own all day long; those are left alone.
"""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from monitor.arns import account_of
from monitor.detector import KMS, About, Base, NoOptions
from monitor.event import Event
from monitor.finding import Actor, Aspect, Finding, Kind, Severity
from monitor.key import Grant
from monitor.key_policy.trust import TrustOptions, is_outsider

OPERATION = re.compile(r"[A-Za-z]{1,40}")
SERVICE = re.compile(r"[a-z0-9.-]+\.amazonaws\.com(\.cn)?")
GRAVE = frozenset({"CreateGrant", "Decrypt", "ReEncryptFrom"})
"""Who may do one of these can read what is encrypted, or let others do so."""
GRANTS_PAGE = "https://docs.aws.amazon.com/kms/latest/developerguide/grants.html"


class GrantOptions(TrustOptions):
    insiders: bool = Field(
        False,
        description="Tell of grants to principals of our own accounts as well. Grants to AWS "
        "services are never told of.",
    )


class GrantCreated(Base[GrantOptions]):
    name: ClassVar = "grant_created"
    title: ClassVar = "KMS grant created"
    about: ClassVar = About(
        description="Somebody gave a principal of a foreign account a right to a KMS key by a "
        "grant, which no key policy shows. With CreateGrant among its operations the outsider can "
        "pass it on.",
        severity="high for an outsider; medium for a principal whose account cannot be told if it "
        "may decrypt or pass the grant on, else low; low for an insider (`insiders`); an attempt "
        "is medium if AWS denied it, else low",
        techniques=("T1098", "T1537"),
        false_positives=(
            "A vendor's account outside the settings' `trusted_accounts` is meant to use the key.",
        ),
        advice=(
            "Find out who the grantee is and whether he was meant to have it.",
            "Revoke the grant: aws kms revoke-grant with the grant's id.",
            "List the key's grants for others that were made with this one.",
        ),
        references=(
            GRANTS_PAGE,
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "CreateGrant")})
    Options: ClassVar[type[BaseModel]] = GrantOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.error_code == "DryRunOperationException":
            return []
        request, account = event.request(), event.key.account if event.key else ""
        trust = self.options.trust(self.knowledge.accounts, {account})
        parties = {
            role: name
            for role in ("granteePrincipal", "retiringPrincipal")
            if isinstance(name := request.get(role), str) and not is_service(name)
        }
        judged = {role: is_outsider(name, trust) for role, name in parties.items()}
        if event.failed:
            # Without parameters nobody can say to whom; a service that was refused is no attack.
            told = True in judged.values() if request else not by_service(event.actor)
            return [self.attempt(event, "Creating a KMS grant")] if told else []
        operations = operations_of(request)
        what = ", ".join(operations) or "nothing that the record tells of"
        passes_on = ", and may pass it on" if "CreateGrant" in operations else ""
        if judged.get("granteePrincipal"):
            who = outsider_in_words(parties["granteePrincipal"])
            title, severity = f"KMS grant to {who}: may {what}{passes_on}", Severity.HIGH
        elif judged.get("retiringPrincipal"):
            who = outsider_in_words(parties["retiringPrincipal"])
            title, severity = f"KMS grant that {who} may retire", Severity.HIGH
        elif None in judged.values():
            title = f"KMS grant to a principal of an unknown account: may {what}{passes_on}"
            severity = Severity.MEDIUM if GRAVE & set(operations) else Severity.LOW
        elif parties and self.options.insiders:
            title, severity = f"{self.title}: an insider may {what}{passes_on}", Severity.LOW
        else:
            return []
        # A repair revokes what no baseline knows; what may be quite right is only told.
        kind = Kind.DAMAGE if True in judged.values() else Kind.NOTICE
        details = {role: name[:200] for role, name in parties.items()}
        details |= {"operations": ", ".join(operations), "grant_id": id_in(event.response())}
        if constraints := request.get("constraints"):
            details["constraints"] = str(constraints)[:200]
        return [
            self.finding(event, title, severity, kind=kind, aspect=Aspect.GRANTS, details=details)
        ]


class GrantLost(Base[NoOptions]):
    """What is the same whether a grant is revoked or retired."""

    doing: ClassVar[str]

    def inspect(self, event: Event) -> Iterable[Finding]:
        if by_service(event.actor):
            return []
        if event.failed:
            return [self.attempt(event, self.doing)]
        grant_id = id_in(event.additional()) or id_in(event.request())
        known = self.knowledge.key(event.key)
        grants = known.grants if known else None
        grant = next((one for one in grants or () if one.grant_id == grant_id), None)
        title, severity = self.title, Severity.MEDIUM
        details = {"grant_id": grant_id}
        if grant is not None:
            what = ", ".join(grant.operations) or "what it allowed"
            title = f"{self.title}: {grant.grantee[:120]} loses {what}"
            severity = self.severity_of(grant, event.actor)
            details |= {"grantee": grant.grantee, "operations": ", ".join(grant.operations)}
        # A grant that no baseline knows was made later, perhaps by whoever should not have.
        stray = grants is not None and grant is None
        kind = Kind.NOTICE if stray or self.rightful(grant, event.actor) else Kind.DAMAGE
        return [
            self.finding(event, title, severity, kind=kind, aspect=Aspect.GRANTS, details=details)
        ]

    def rightful(self, grant: Grant | None, actor: Actor) -> bool:
        """Whether it was for this caller to end the grant."""
        return False

    def severity_of(self, grant: Grant, actor: Actor) -> Severity:
        needed = is_service(grant.grantee) or re.search(r":(assumed-)?role/", grant.grantee)
        return Severity.HIGH if needed else Severity.MEDIUM


LOST_ADVICE = (
    "Find out whether whoever did it was meant to.",
    "See that what used the grant still works: volumes, databases, backups.",
    "Make the grant anew if it is needed; a grant cannot be restored, and gets another id.",
)


class GrantRevoked(GrantLost):
    name: ClassVar = "grant_revoked"
    title: ClassVar = "KMS grant revoked"
    doing: ClassVar = "Revoking a KMS grant"
    about: ClassVar = About(
        description="Somebody, and no AWS service, revoked a grant. Whoever used the key by it "
        "cannot any more, though neither the key nor its policy changed.",
        severity="high if the grant was a service's or a role's, as far as it is known; else "
        "medium; an attempt is medium if AWS denied it, else low",
        techniques=("T1531", "T1489"),
        false_positives=("Grants that nothing uses any more are cleaned up.",),
        advice=LOST_ADVICE,
        references=(
            GRANTS_PAGE,
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_RevokeGrant.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "RevokeGrant")})


class GrantRetired(GrantLost):
    name: ClassVar = "grant_retired"
    title: ClassVar = "KMS grant retired"
    doing: ClassVar = "Retiring a KMS grant"
    about: ClassVar = About(
        description="Somebody, and no AWS service, retired a grant. Whoever used the key by it "
        "cannot any more. To retire one's own grant when the work is done is good practice.",
        severity="high if the grant was a service's or a role's, as far as it is known; low if its "
        "own grantee or retiring principal did it; else medium; an attempt is medium if AWS "
        "denied it, else low",
        techniques=("T1531", "T1489"),
        false_positives=(
            "An application retires its own grant, which the baseline does not know.",
        ),
        advice=LOST_ADVICE,
        references=(
            "https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html",
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_RetireGrant.html",
        ),
    )
    events: ClassVar = frozenset({(KMS, "RetireGrant")})

    def rightful(self, grant: Grant | None, actor: Actor) -> bool:
        parties = {grant.grantee, grant.retiring} if grant else set[str]()
        return bool({actor.arn, actor.principal} & parties - {""})

    def severity_of(self, grant: Grant, actor: Actor) -> Severity:
        if self.rightful(grant, actor):
            return Severity.LOW
        return super().severity_of(grant, actor)


def is_service(name: str) -> bool:
    """Whether it is AWS itself. A role may be called `x.amazonaws.com`, but its ARN has colons."""
    return name == "AWS Internal" or bool(SERVICE.fullmatch(name))


def by_service(actor: Actor) -> bool:
    """Whether AWS itself called, and not somebody through a service that calls what it is told."""
    return actor.on_an_errand or actor.is_aws or actor.type == "AWSService"


def outsider_in_words(name: str) -> str:
    return f"foreign account {account_of(name)}" if account_of(name) else "everybody"


def operations_of(request: dict[str, Any]) -> list[str]:
    given = request.get("operations")
    if not isinstance(given, list):
        return []
    known = [one for one in given if isinstance(one, str) and OPERATION.fullmatch(one)]
    return sorted(set(known))[:20]


def id_in(members: dict[str, Any]) -> str:
    found = members.get("grantId")
    return found[:128] if isinstance(found, str) else ""
