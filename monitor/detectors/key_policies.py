"""Somebody gave a key another policy, or made a key with a policy that lets too many in.

PutKeyPolicy replaces the whole policy at once, works on a key that is pending deletion, and can
shut out whoever would take the key back (aws-facts 3.2): it is the most dangerous call of KMS that
destroys nothing.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import BaseModel, Field

from monitor.detector import KMS, OWN, About, Base
from monitor.errors import Unreadable
from monitor.event import Event
from monitor.finding import Aspect, Finding, Kind, Severity
from monitor.iam_policy.document import Policy
from monitor.key import KeyRef, partition_of
from monitor.key_policy.answers import Trust
from monitor.key_policy.dangers import Danger, closed, opened
from monitor.key_policy.difference import difference
from monitor.key_policy.document import parse
from monitor.key_policy.trust import TrustOptions, is_outsider
from monitor.parameters import said, short, text, texts

MOST_LINES = 6
LONGEST_LINE = 240
LONGEST_TITLE = 160
REMEMBERED = 45 * 86_400.0
"""How long a scheduled deletion is kept in mind: 30 days at the most, and the day it may be late."""
POLICY_PAGE = "https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html"


class PolicyOptions(TrustOptions):
    trusted_organizations: list[Annotated[str, Field(pattern=r"^o-[a-z0-9]{1,32}$")]] = Field(
        [],
        description="Our own organizations, such as `o-exampleorgid`. A policy that lets in every "
        "account of another one is as dangerous as one that names a foreign account.",
    )
    our_actions: list[Annotated[str, Field(pattern=r"^kms:[A-Za-z]{1,64}$")]] = Field(
        [
            "kms:DescribeKey",
            "kms:EnableKey",
            "kms:CancelKeyDeletion",
            "kms:GetKeyPolicy",
            "kms:PutKeyPolicy",
        ],
        description="What the daemon's own roles must be able to do to repair a key. A policy that "
        "takes one of these from us is critical.",
    )
    every_change: bool = Field(
        False,
        description="Whether a change that is not dangerous is damage too, and put back. Otherwise "
        "it is told, and accepted as right.",
    )


class KeyPolicyChanged(Base[PolicyOptions]):
    name: ClassVar = "key_policy_changed"
    title: ClassVar = "KMS key policy changed"
    about: ClassVar = About(
        description="Somebody replaced the policy of a KMS key. It is told what the new policy is "
        "dangerous for, and in words what it allows and denies that the accepted policy did not.",
        severity="critical if everybody may use or rule the key, if kms-monitor's own rights are "
        "denied or dropped, or if nobody may change the policy any more; high if these rights hang on a "
        "new condition, if whoever is not spared by name may not put the key back, if somebody is denied "
        "the use of the key or nobody is left who may use it, a foreign account "
        "or organization is let in, the account's root or an administrator lost control, the "
        "lockout safety check was bypassed, the key is pending deletion, or the policy cannot be "
        "read; else medium; info if it is the accepted policy again; an attempt is medium if AWS "
        "denied it, else low",
        techniques=("T1098", "T1531", "T1222"),
        false_positives=(
            "Infrastructure as code gives an application the right to a key.",
            "An account outside the settings' `trusted_accounts` is meant to use the key.",
        ),
        advice=(
            "Find out whether whoever did it was meant to, and compare the policies.",
            "Put the accepted policy back with PutKeyPolicy while somebody still may.",
            "If the key is pending deletion, cancel that first: kms:CancelKeyDeletion.",
            "If nobody may any more, ask AWS Support at once: only they can restore access.",
        ),
        references=(
            POLICY_PAGE,
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html",
        ),
    )
    # The other two are only noted: whether a key is pending deletion when its policy changes.
    events: ClassVar = frozenset(
        {(KMS, "PutKeyPolicy"), (KMS, "ScheduleKeyDeletion"), (KMS, "CancelKeyDeletion")}
    )
    Options: ClassVar[type[BaseModel]] = PolicyOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        if event.event_name != "PutKeyPolicy":
            self.note(event)
            return []
        if event.failed:
            return [self.attempt(event, "Changing a KMS key policy")]
        request, before = event.request(), self.accepted(event.key)
        details = {"policy_name": str(request.get("policyName", "default"))[:80]}
        dangers = [*self.pending(event), *bypassed(request)]
        try:
            policy = parse(request.get("policy"))
        except Unreadable as error:
            dangers.append(Danger(Severity.HIGH, "the new policy cannot be read"))
            details["unreadable"] = str(error)
        else:
            if before is not None:
                changed = difference(before, policy, arn_of_key(event.key))
                if not changed:
                    return [self.as_it_should_be(event, details)]
                details["difference"] = some(changed)
            dangers += self.judged(event.key, policy, before)
        dangers.sort(key=lambda one: -one.severity)
        details |= {"dangers": some([one.words for one in dangers])} if dangers else {}
        # What is not dangerous is told, and accepted as right, unless every change is to be undone.
        harmless = not dangers and not self.options.every_change
        worst = f"{self.title}: {dangers[0].words}" if dangers else self.title
        severity = max([Severity.MEDIUM, *(one.severity for one in dangers)])
        return [
            self.finding(
                event,
                worst[:LONGEST_TITLE],
                severity,
                kind=Kind.NOTICE if harmless else Kind.DAMAGE,
                aspect=Aspect.POLICY,
                details=details,
            )
        ]

    def note(self, event: Event) -> None:
        if event.key and not event.failed:
            window = self.knowledge.windows.of(self.name, event.key.arn)
            window.note(event.event_id, event.time, event.event_name, keep=REMEMBERED)

    def pending(self, event: Event) -> list[Danger]:
        """By CloudTrail's time, so that what comes late changes nothing that was said."""
        if event.key is None:
            return []
        window = self.knowledge.windows.of(self.name, event.key.arn)
        noted = window.between(event.time - REMEMBERED, event.time)
        if not noted or noted[-1].what != "ScheduleKeyDeletion":
            return []
        words = "the key is pending deletion, and this may be to keep it from being taken back"
        return [Danger(Severity.HIGH, words)]

    def accepted(self, key: KeyRef | None) -> Policy | None:
        """The baseline's policy; None where it is not known."""
        known = self.knowledge.key(key)
        try:
            return parse(known.policy) if known and known.policy else None
        except Unreadable:
            return None

    def judged(self, key: KeyRef | None, policy: Policy, before: Policy | None) -> list[Danger]:
        if key is None:
            return opened(policy, "", self.trust(""), before)
        return opened(policy, key.arn, self.trust(key.account), before) + closed(
            policy,
            key.arn,
            key.account,
            before,
            roles=self.knowledge.watched.roles,
            our_actions=self.options.our_actions,
        )

    def trust(self, account: str) -> Trust:
        trust = self.options.trust(self.knowledge.accounts, {account})
        ours = frozenset(self.options.trusted_organizations)
        return msgspec.structs.replace(trust, organizations=ours)

    def as_it_should_be(self, event: Event, details: dict[str, str]) -> Finding:
        return self.finding(
            event,
            "KMS key policy is as it should be again",
            Severity.INFO,
            kind=Kind.RECOVERY,
            aspect=Aspect.POLICY,
            details=details,
        )


class KeyCreated(Base[TrustOptions]):
    name: ClassVar = "key_created"
    title: ClassVar = "KMS key created"
    about: ClassVar = About(
        description="Somebody made a KMS key, or a replica of one. A key whose policy lets "
        "strangers in, or whose material is outside KMS, can be taken away by others later.",
        severity="critical if everybody may rule it, high if everybody may use it, if a foreign "
        "account is let in or the lockout safety check was bypassed; medium if its material is "
        "imported or in a custom key store, or its policy cannot be read; else info",
        techniques=("T1578", "T1486"),
        false_positives=(
            "Keys are made every day; only the policy and the origin raise the severity.",
            "An account outside the settings' `trusted_accounts` is meant to use the key.",
        ),
        advice=(
            "Find out what the key is for and who is to use it.",
            "Narrow its policy down before anything is encrypted under it.",
            "Of imported material keep a copy: AWS cannot restore it.",
        ),
        references=(
            "https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html",
            POLICY_PAGE,
        ),
    )
    events: ClassVar = frozenset({(KMS, "CreateKey")})
    Options: ClassVar[type[BaseModel]] = TrustOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        metadata = event.response().get("keyMetadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        # AWS's own keys come into being by themselves, with a policy that nobody can change.
        if event.failed or metadata.get("keyManager") == "AWS":
            return []
        request, key = event.request(), event.key or key_in(metadata, event)
        replica = "REPLICA" in str(metadata.get("multiRegionConfiguration"))
        title = "KMS replica key created" if replica else self.title
        dangers = bypassed(request) + origin_of(metadata, request)
        if request.get("policy") is not None:
            trust = self.options.trust(self.knowledge.accounts, {key.account} if key else ())
            try:
                dangers += opened(parse(request["policy"]), arn_of_key(key), trust, fresh=True)
            except Unreadable:
                dangers.append(Danger(Severity.MEDIUM, "its policy cannot be read"))
        dangers.sort(key=lambda one: -one.severity)
        details = {"dangers": some([one.words for one in dangers])} if dangers else {}
        if dangers:
            title = f"{title}: {dangers[0].words}"[:LONGEST_TITLE]
        severity = max([Severity.INFO, *(one.severity for one in dangers)])
        found = self.finding(
            event, title, severity, kind=Kind.NOTICE, aspect=Aspect.POLICY, details=details
        )
        return [msgspec.structs.replace(found, key=key)]


class KeyFoundOpen(Base[TrustOptions]):
    name: ClassVar = "key_found_open"
    title: ClassVar = "KMS key lets strangers in when first seen"
    about: ClassVar = About(
        description="A key that the daemon had never seen before has a policy, or grants, that let in "
        "everybody or a foreign account. Nobody can say from the outside whether that is meant, so it "
        "counts as how the key should be, and people are told.",
        severity="critical if everybody may use or rule the key, else high",
        techniques=("T1098",),
        false_positives=(
            "An account outside the settings' `trusted_accounts` is meant to use the key.",
        ),
        advice=(
            "Find out whether whoever is let in is meant to be.",
            (
                "If not: narrow the policy down, revoke the grant, and accept the key as it is then: "
                "kms-monitor baseline accept."
            ),
        ),
        references=(POLICY_PAGE,),
    )
    events: ClassVar = frozenset({(OWN, "KeySeenFirst")})
    Options: ClassVar[type[BaseModel]] = TrustOptions

    def inspect(self, event: Event) -> Iterable[Finding]:
        key, seen = event.key, event.request()
        if key is None:
            return []
        trust = self.options.trust(self.knowledge.accounts, {key.account})
        try:
            dangers = opened(parse(text(seen, "policy")), key.arn, trust)
        except Unreadable:
            dangers = []
        dangers += [
            Danger(Severity.HIGH, f"a grant to {short(name)}")
            for name in texts(seen.get("grantees"))
            if is_outsider(name, trust)
        ]
        if not dangers:
            return []
        dangers.sort(key=lambda one: -one.severity)
        return [
            self.finding(
                event,
                f"{self.title}: {dangers[0].words}"[:LONGEST_TITLE],
                dangers[0].severity,
                kind=Kind.NOTICE,
                aspect=Aspect.POLICY,
                details={"dangers": some([one.words for one in dangers])},
            )
        ]


def arn_of_key(key: KeyRef | None) -> str:
    return key.arn if key else ""


def bypassed(request: dict[str, Any]) -> list[Danger]:
    """Without KMS's check the policy may shut out the very caller who set it."""
    if said(request, "bypassPolicyLockoutSafetyCheck"):
        return [Danger(Severity.HIGH, "the lockout safety check was bypassed")]
    return []


def origin_of(metadata: dict[str, Any], request: dict[str, Any]) -> list[Danger]:
    """What does not rest on material of KMS's own can be lost from outside KMS."""
    words = {
        "EXTERNAL": "its material is imported",
        "AWS_CLOUDHSM": "its material is in a CloudHSM key store",
        "EXTERNAL_KEY_STORE": "its material is in an external key store",
    }
    origin = metadata.get("origin") or request.get("origin")
    said = words.get(origin) if isinstance(origin, str) else None
    if said is None and (request.get("customKeyStoreId") or request.get("xksKeyId")):
        said = "its material is in a custom key store"
    return [Danger(Severity.MEDIUM, said)] if said else []


def key_in(metadata: dict[str, Any], event: Event) -> KeyRef | None:
    """The new key, where the record has no `resources`. Its account is spelled in two ways."""
    account = metadata.get("aWSAccountId") or metadata.get("AWSAccountId")
    region = event.aws_region or ""
    made = f"arn:{partition_of(region)}:kms:{region}:{account}:key/{metadata.get('keyId')}"
    return KeyRef.parse(str(metadata.get("arn"))) or KeyRef.parse(made)


def some(lines: list[str]) -> str:
    """The first of many lines, for people."""
    shown = [line[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    more = len(lines) - MOST_LINES
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)
