"""A custom rule of AWS Config that judges keys: decode, read the key, judge, hand over the verdict.

The message is a hint, the live key is the truth: an item may be old, and has no policy. What cannot be
known never makes a key green. Where AWS denies us the look, the key is not compliant, and the
annotation says why; where it may pass, no verdict is given, so that AWS Config keeps the one that it has
and Lambda asks again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec
import structlog
from pydantic import BaseModel

from monitor.aws import Aws
from monitor.baselines import Baselines
from monitor.clock import Clock
from monitor.config_rule import judging
from monitor.config_rule.invocation import KEY, Invocation, Item, Trigger, decode
from monitor.config_rule.judging import Compliance, Standards, Verdict
from monitor.config_rule.oversized import whole
from monitor.config_rule.parameters import RuleParameters, read_parameters
from monitor.config_rule.putting import Putting
from monitor.detectors.key_policies import PolicyOptions
from monitor.errors import (
    Denied,
    MonitorError,
    NotWorthRetrying,
    SettingsError,
    Unreadable,
    WorthRetrying,
)
from monitor.finding import Aspect
from monitor.key import KeyRef, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.repair.live import Failures, LiveKeys

AT_ONCE: Final = 20
"""Keys looked at at the same time: up to three calls each; see `monitor.loops.sweep`."""
YOUNG: Final = 300.0
"""Seconds after an item, in which a key that KMS does not know may only be too new (aws-facts 3.7)."""


class ConfigRule:
    """Judges for any number of rules. `baselines`: what was accepted as right, and by whom."""

    def __init__(
        self,
        aws: Aws,
        knowledge: Knowledge,
        clock: Clock,
        metrics: Metrics,
        *,
        baselines: Baselines | None = None,
        policy: BaseModel | None = None,
    ) -> None:
        """`policy`: the options of the detector `key_policy_changed`, as the settings have them.

        Without `baselines` nothing counts as accepted.
        """
        self.aws = aws
        self.knowledge = knowledge
        self.clock = clock
        self.metrics = metrics.config
        self.baselines = baselines
        self.policy = (
            policy if isinstance(policy, PolicyOptions) else PolicyOptions.model_validate({})
        )
        self.keys = LiveKeys(aws, clock)
        self.putting = Putting(aws, self.metrics)
        self.log = structlog.get_logger("config_rule")

    async def evaluate(self, invocation: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one question of AWS Config: how many verdicts of which kind were given.

        Raises `Unreadable` for what is no question, `SettingsError` for wrong parameters of the rule,
        `WorthRetrying`, `NotWorthRetrying` and `Denied`. What was not handed over then, was not judged.
        """
        trigger, end = "unknown", "judged"
        try:
            asked = decode(invocation)
            trigger = asked.trigger.value
            with structlog.contextvars.bound_contextvars(rule=asked.rule, trigger=trigger):
                return await self.answer(asked)
        except MonitorError as error:
            end = ended(error)
            self.log.warning("no verdict", problem=str(error), end=end)
            raise
        except StoreError as error:
            end = "passing"
            self.log.warning("no verdict", problem=str(error), end=end)
            raise WorthRetrying(f"the store cannot be read: {error}") from error
        finally:
            self.metrics.invocations.labels(trigger, end).inc()

    async def answer(self, asked: Invocation) -> dict[str, Any]:
        parameters = read_parameters(asked.parameters)
        self.check_place(asked)
        counts: Counter[str] = Counter()
        failure: MonitorError | None = None
        async with aclosing(self.found(asked, parameters)) as pages:
            async for verdicts, failed in pages:
                await self.putting.put(asked, verdicts)
                counts.update(one.compliance.value for one in verdicts)
                failure = failure or failed
        if failure is not None:
            raise failure
        given = {one.value: counts[one.value] for one in Compliance}
        self.log.info(
            "judged", account=asked.account, region=asked.region, test=asked.test, **given
        )
        return {"rule": asked.rule, "test": asked.test, "verdicts": given}

    def check_place(self, asked: Invocation) -> None:
        """Where nothing is guarded nothing is known: with other rights no key would be found."""
        where = (asked.account, asked.item.region if asked.item else asked.region)
        about_key = asked.item is None or asked.item.key is not None
        if about_key and self.knowledge.places is not None and where not in self.knowledge.places:
            raise NotWorthRetrying(
                f"account {where[0]} in Region {where[1]} is not among the guarded ones of the "
                "settings: no verdict was given"
            )

    async def found(
        self, asked: Invocation, parameters: RuleParameters
    ) -> AsyncGenerator[tuple[list[Verdict], MonitorError | None]]:
        """The verdicts, page by page, and why some keys of a page got none."""
        if asked.item is not None:
            yield [await self.about(asked, asked.item, parameters)], None
            return
        listed: set[str] = set()
        client = await self.aws.kms(asked.account, asked.region)
        async with self.aws.calling("kms", "ListKeys"):
            async for page in client.get_paginator("list_keys").paginate():
                keys = [key for one in page["Keys"] if (key := KeyRef.parse(one["KeyArn"]))]
                listed.update(key.key_id for key in keys)
                yield await self.several(asked, keys, parameters)
        yield await self.gone(asked, listed), None

    async def several(
        self, asked: Invocation, keys: Sequence[KeyRef], parameters: RuleParameters
    ) -> tuple[list[Verdict], MonitorError | None]:
        """The verdicts about all keys of a page. One that cannot be read now holds up no other."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(key: KeyRef) -> Verdict | WorthRetrying:
            async with limit:
                try:
                    compliance, words = await self.judged(key, parameters)
                except WorthRetrying as error:
                    return error
                return Verdict(KEY, key.key_id, compliance, words, asked.at)

        ended = await asyncio.gather(*(one(key) for key in keys))
        failures = [one for one in ended if isinstance(one, WorthRetrying)]
        return [one for one in ended if isinstance(one, Verdict)], next(iter(failures), None)

    async def gone(self, asked: Invocation, listed: set[str]) -> list[Verdict]:
        """That keys which once got a verdict are no more, which no list tells."""
        if asked.test:
            return []
        client = await self.aws.client("config", asked.region, asked.account)
        found: list[Verdict] = []
        try:
            async with self.aws.calling("config", "GetComplianceDetailsByConfigRule"):
                paginator = client.get_paginator("get_compliance_details_by_config_rule")
                async for page in paginator.paginate(ConfigRuleName=asked.rule):
                    for one in page["EvaluationResults"]:
                        about = one["EvaluationResultIdentifier"]["EvaluationResultQualifier"]
                        name = about.get("ResourceId", "")
                        if about.get("ResourceType") == KEY and name not in listed:
                            found.append(not_applicable(KEY, name, judging.DELETED, asked.at))
        except (WorthRetrying, NotWorthRetrying) as error:
            self.log.warning("verdicts of before cannot be read", problem=str(error))
        return found

    async def about(self, asked: Invocation, item: Item, parameters: RuleParameters) -> Verdict:
        """The verdict about the resource of a message."""
        words = ""
        if asked.left_scope:
            words = judging.LEFT
        elif item.deleted:
            words = judging.DELETED
        elif item.key is None:
            words = f"{judging.OTHER}, not {item.resource_type[:80]}"
        key = item.key
        if words or key is None:
            self.log.info("not applicable", resource=item.resource_id, why=words)
            return not_applicable(item.resource_type, item.resource_id, words, item.captured_at)
        if asked.trigger is Trigger.OVERSIZED:
            item = await whole(self.aws, item)
        compliance, words = await self.judged(key, parameters, item)
        return Verdict(item.resource_type, item.resource_id, compliance, words, item.captured_at)

    async def judged(
        self, key: KeyRef, parameters: RuleParameters, item: Item | None = None
    ) -> tuple[Compliance, str]:
        """The key as it is now. Raises `WorthRetrying` where that cannot be said just now."""
        hint = item.configuration if item else {}
        try:
            live = await self.keys.read(key)
        except NotWorthRetrying as error:
            if hint.get("keyManager") == "AWS":
                return Compliance.NOT_APPLICABLE, judging.MANAGED
            self.log.warning("key cannot be read", key=key.arn, problem=str(error))
            return judging.unreadable(error, str(hint.get("keyState") or ""))
        now = self.clock.now()
        if live.state is KeyState.GONE and item and now - item.captured_at < YOUNG:
            raise WorthRetrying(f"KMS does not know {key.arn}; if it is new, it soon will")
        if live.state is KeyState.GONE or not live.customer_managed:
            return judging.judge(live, None, self.standards(parameters), now, {})
        known = await self.baselines.known(key) if self.baselines else None
        live, unread = await self.keys.read_parts(live, aspects(parameters))
        verdict = judging.judge(live, known, self.standards(parameters), now, denied(unread))
        passing = [one for one in unread.values() if isinstance(one, WorthRetrying)]
        if passing and verdict[0] is Compliance.COMPLIANT:
            raise passing[0]
        for call, failure in unread.items():
            self.log.warning(
                "part of a key cannot be read", key=key.arn, call=call, problem=str(failure)
            )
        return verdict

    def standards(self, parameters: RuleParameters) -> Standards:
        trust = self.policy.trust(self.knowledge.accounts, parameters.trusted_accounts)
        organizations = {*self.policy.trusted_organizations, *parameters.trusted_organizations}
        return Standards(
            parameters,
            msgspec.structs.replace(trust, organizations=frozenset(organizations)),
            self.knowledge.watched.roles,
            tuple(self.policy.our_actions),
        )


def aspects(parameters: RuleParameters) -> frozenset[Aspect]:
    """What of a key is read beside its state: only what counts."""
    counts = {
        Aspect.POLICY: parameters.policy_unsafe,
        Aspect.ROTATION: parameters.rotation_off != "false",
    }
    return frozenset(aspect for aspect, wanted in counts.items() if wanted)


def denied(unread: Failures) -> dict[str, MonitorError]:
    """Those that nothing but people can change."""
    return {call: error for call, error in unread.items() if not isinstance(error, WorthRetrying)}


def not_applicable(resource_type: str, resource_id: str, words: str, at: float) -> Verdict:
    return Verdict(resource_type, resource_id, Compliance.NOT_APPLICABLE, words, at)


def ended(error: MonitorError) -> str:
    """How an invocation ended that gave no verdict, in a bounded word."""
    match error:
        case Unreadable():
            return "unreadable"
        case SettingsError():
            return "settings"
        case WorthRetrying():
            return "passing"
        case Denied():
            return "denied"
        case _:
            return "failed"
