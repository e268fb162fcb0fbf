"""Keeps whoever damaged a key from going on: the older sessions of a role, or an IAM user.

Off unless the settings name it, and a dry run until they say otherwise. A message is a hint: nobody
is locked out unless CloudTrail's own event history has the call, by the very same caller, and
whoever repairs did not find the key well. It writes one inline policy, which one command takes
back: `kms-monitor contain release`.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from monitor.containment import (
    Target,
    found_worse,
    holds,
    is_ours,
    is_spared,
    policy_document,
    policy_name,
    target,
)
from monitor.contested import HOUR
from monitor.decision import Action, Budget, Decision, Outcome
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Finding, Severity
from monitor.ledger import StoreError
from monitor.plugins import Services
from monitor.repair.live import LiveKeys
from monitor.setting_types import Pattern, SeverityWord
from monitor.signs import is_damage

NO_SUCH = "NoSuchEntity"
LATEST = 86_400.0
"""Seconds. Older calls are for people to judge: a true record of long ago, sent once more when
somebody else has damaged the key, must not shut out whoever made that call then."""
BUDGET = "containment"
"""The budget's name in the store."""


class ContainOptions(BaseModel, extra="forbid"):
    dry_run: bool = Field(
        default=True, description="Only say whom it would contain, and how; false: do it."
    )
    min_severity: SeverityWord = Field(
        default="critical",
        description="Findings less severe are none of its business. A contested key is critical.",
    )
    detectors: list[str] = Field(
        default=[], description="Only what these tell of; none: whatever damages a key."
    )
    break_glass: list[Pattern] = Field(
        default=[],
        description="Patterns over the ARNs of users, roles and sessions that are never touched.",
    )
    deny: Literal["all", "damage"] = Field(
        default="all",
        description="damage: only the calls that take keys away, put our eyes out, or undo the "
        "denial, so that what else the caller does goes on.",
    )
    principals_per_hour: int = Field(
        default=3, ge=1, le=100, description="Users and roles contained within an hour, at most."
    )
    history_seconds: float = Field(
        default=300,
        ge=0,
        le=7200,
        description="How long to wait until CloudTrail's event history confirms the call.",
    )


class Contain:
    name: ClassVar = "contain"
    repairs: ClassVar = False
    aspects: ClassVar[frozenset[Aspect]] = frozenset()
    Options: ClassVar[type[BaseModel]] = ContainOptions

    def __init__(self, options: ContainOptions, services: Services) -> None:
        self.options = options
        self.lowest = Severity[options.min_severity.upper()]
        self.aws = services.aws
        self.clock = services.clock
        self.store = services.store
        self.metrics = services.metrics
        self.log = services.log
        self.keys = LiveKeys(services.aws, services.clock)

    async def serve(self) -> None:
        """Nothing to keep: the AWS clients are shared."""

    def problem(self) -> str | None:
        """It does its work when it is needed; the next action tells if it cannot."""
        return None

    def wants(self, decision: Decision) -> bool:
        finding, options = decision.finding, self.options
        return (
            is_damage(decision)
            and found_worse(decision)
            and finding.key is not None
            and bool(finding.actor.arn)
            and finding.severity >= self.lowest
            and (not options.detectors or finding.detector in options.detectors)
        )

    async def respond(self, decision: Decision) -> Action:
        finding = decision.finding
        assert finding.key is not None, "see `wants`"
        one = target(finding.actor)
        if isinstance(one, str):
            return self.over(Outcome.REFUSED, f"nobody is contained: {one}")
        if why := await self.why_not(one, finding):
            return self.over(Outcome.REFUSED, f"{one.kind} {one.name} is not contained: {why}")
        if self.clock.now() - finding.event_time > LATEST:
            text = f"{one.kind} {one.name} is not contained: the call is more than a day old"
            return self.over(Outcome.REFUSED, text)
        if not await self.confirmed(finding):
            text = "CloudTrail's history does not have the call; nobody is contained"
            return self.over(Outcome.UNCONFIRMED, text)
        incident = decision.incident
        name = policy_name(incident.id if incident else finding.finding_id)
        if holds(
            await self.there(one, name, finding.key.region),
            policy_document(one, self.options.deny, finding.event_time),
        ):
            return self.over(Outcome.ALREADY, f"{one.kind} {one.name} is contained by {name}")
        # As the console does it: from now on, for he may have got himself a new session.
        before = max(self.clock.now(), finding.event_time)
        document = policy_document(one, self.options.deny, before)
        if self.options.dry_run or decision.dry_run:
            text = f"would contain {one.kind} {one.name} by its inline policy {name}"
            return self.over(Outcome.WOULD, text)
        if not await self.may(one):
            most = self.options.principals_per_hour
            text = f"{one.kind} {one.name} is not contained: {most} were within the last hour"
            return self.over(Outcome.REFUSED, text)
        return await self.contain(one, name, document, finding.key.region)

    async def why_not(self, one: Target, finding: Finding) -> str:
        """Why this one is never to be contained; "" where nothing speaks against it."""
        if one.account not in self.aws.entries:
            return f"account {one.account} is not in the settings"
        if is_spared(one, finding.actor, self.options.break_glass):
            return "it is on the break-glass list"
        assert finding.key is not None
        roles = {entry.role_arn for entry in self.aws.entries.values()}
        # What we are in that account, and what we are at home.
        for account in (one.account, ""):
            identity = await self.aws.identity(account, finding.key.region)
            if any(is_ours(one, identity, known) for known in roles):
                return "it is kms-monitor itself"
        return ""

    async def confirmed(self, finding: Finding) -> bool:
        """Whether CloudTrail's history has the call. Raises WorthRetrying while it still may."""
        if await self.keys.in_history(finding):
            return True
        if abs(self.clock.now() - finding.event_time) < self.options.history_seconds:
            raise WorthRetrying(
                "nobody is contained before CloudTrail's event history has the call"
            )
        return False

    async def may(self, one: Target) -> bool:
        """Whether the budget allows it. Raises WorthRetrying: not without the store."""
        most = self.options.principals_per_hour
        try:
            granted = await self.store.spend(BUDGET, one.arn, most=most, seconds=HOUR)
        except StoreError as error:
            self.metrics.store.failed("spend")
            raise WorthRetrying(f"the store cannot be written: {error}") from error
        if not granted:
            self.metrics.budget_refusals.labels(Budget.CONTAINMENT.value).inc()
            self.log.warning("not contained: too many within an hour", principal=one.arn)
        return granted

    # -- IAM

    async def there(self, one: Target, name: str, region: str) -> object:
        """The inline policy of that name as a document; None where there is none."""
        client: Any = await self.aws.client("iam", region, one.account)
        call = "GetRolePolicy" if one.kind == "role" else "GetUserPolicy"
        try:
            async with self.aws.calling("iam", call):
                if one.kind == "role":
                    answer = await client.get_role_policy(RoleName=one.name, PolicyName=name)
                else:
                    answer = await client.get_user_policy(UserName=one.name, PolicyName=name)
        except NotWorthRetrying as error:
            if error.code == NO_SUCH:
                return None
            raise
        document: object = answer["PolicyDocument"]
        return document

    async def contain(self, one: Target, name: str, document: str, region: str) -> Action:
        client: Any = await self.aws.client("iam", region, one.account)
        call = "PutRolePolicy" if one.kind == "role" else "PutUserPolicy"
        async with self.aws.calling("iam", call):
            if one.kind == "role":
                await client.put_role_policy(
                    RoleName=one.name, PolicyName=name, PolicyDocument=document
                )
            else:
                await client.put_user_policy(
                    UserName=one.name, PolicyName=name, PolicyDocument=document
                )
        self.log.warning("contained", principal=one.arn, policy=name)
        what = "the sessions that it has now lose" if one.kind == "role" else "it loses"
        rights = "all rights" if self.options.deny == "all" else "the right to do damage"
        text = (
            f"{one.kind} {one.name} is contained: {what} {rights} by its inline policy {name};"
            f" to take that back: kms-monitor contain release {one.arn}"
        )
        return self.over(Outcome.DONE, text, (call,))

    def over(self, outcome: Outcome, detail: str, calls: tuple[str, ...] = ()) -> Action:
        return Action(self.name, outcome, detail, calls, self.clock.now(), about_caller=True)
