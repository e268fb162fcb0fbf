"""Labels that would weaken what the settings do for a key.

In scope: `monitor.standing`, and `monitor.approvals` over the store and the real detectors of tags and
aliases.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from monitor.approval import NeverApprove
from monitor.approvals import Approvals
from monitor.baseline import Baseline, accepted, sighted
from monitor.decision import Decision, Verdict
from monitor.detection import Detection
from monitor.detector import NoOptions
from monitor.detectors.aliases import AliasCreated
from monitor.detectors.key_changed import KeyChanged
from monitor.detectors.key_labels import ProtectionTagRemoved, TagOptions
from monitor.finding import Aspect, Kind, Severity
from monitor.key import KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.maintenance import Maintenance
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.response_rules import ResponseRule
from monitor.standing import YOUNG, minded, weakened
from monitor.stores.memory import MemoryStore
from monitor.suppression import Suppression
from monitor.testing.fakes import HandClock
from monitor.tiers import Tier
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, REGION, approval, event, finding, snapshot

PLAIN = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION)}),
    repairers=("restore_key",),
    tellers=("sns",),
    detectors=("key_disabled", "key_deletion_scheduled"),
    aspects=frozenset(Aspect),
)
DEV = ResponseRule(name="dev", keys=["alias/dev-*"], mode="observe")
DEV_TAG = ResponseRule(name="dev", tags={"env": "dev"}, mode="observe")
PROD = ResponseRule(name="prod", tags={"env": "prod"}, mode="enforce")
TIER_0 = Tier(name="tier-0", tags={"tier": "0"})
NIGHT = Maintenance(
    name="night",
    cron="0 2 * * *",
    time_zone="UTC",
    minutes=60,
    actors=["arn:*"],
    tags={"night": "*"},
)
QUIET = Suppression.model_validate(
    {"reason": "dev", "until": "never", "keys": ["alias/dev-*"], "detectors": ["key_*"]}
)


def label(aspect: Aspect = Aspect.TAGS, /, **changes: Any) -> Any:
    return finding(
        detector="key_changed",
        kind=Kind.CHANGE,
        severity=Severity.INFO,
        caused=None,
        aspect=aspect,
        tags={"env": "prod", "tier": "0"},
        aliases=("alias/payments",),
        tags_known=True,
        aliases_known=True,
        changes=changes.pop("changes"),
        **changes,
    )


@pytest.mark.parametrize(
    ("settings", "changes", "why"),
    [
        ({"response": (DEV,)}, {"alias/dev-x": True}, "by rule dev it would only be observed"),
        ({"response": (DEV_TAG,)}, {"tag/env": "dev"}, "by rule dev it would only be observed"),
        (
            {"response": (PROD,), "mode": Mode.OBSERVE},
            {"tag/env": None},
            "by rule none it would only be observed",
        ),
        (
            {"response": (DEV.model_copy(update={"mode": None, "responders": ["sns"]}),)},
            {"alias/dev-x": True},
            "by rule dev fewer would respond",
        ),
        (  # only what one detector sees, in whatever way its name is written
            {"response": (DEV_TAG.model_copy(update={"detectors": ["key_[dx]*d"]}),)},
            {"tag/env": "dev"},
            "by rule dev it would only be observed",
        ),
        (  # only what one detector sees is put back at all
            {
                "response": (DEV_TAG,),
                "mode": Mode.OBSERVE,
                "modes": {"key_disabled": Mode.ENFORCE},
            },
            {"tag/env": "dev"},
            "by rule dev it would only be observed",
        ),
        ({"tiers": {"tier-0": TIER_0}}, {"tag/tier": "3"}, "it would leave tier tier-0"),
        (
            {"never_approve": NeverApprove(tags={"tier": "0"})},
            {"tag/tier": None},
            "its changes could be approved",
        ),
        (
            {"maintenance": (NIGHT,)},
            {"tag/night": "x"},
            "maintenance window night would be about it",
        ),
        ({"suppressions": (QUIET,)}, {"alias/dev-x": True}, "it would be silenced"),
        # the other way round, or nothing to do with any of them
        ({"response": (DEV, DEV_TAG)}, {"tag/env": "test", "tag/team": "x"}, ""),
        ({"response": (PROD, DEV)}, {"alias/dev-x": True}, ""),  # the first rule decides, as before
        ({"response": (PROD,)}, {"alias/other": True}, ""),
        (  # a detector that does not run
            {"response": (DEV_TAG.model_copy(update={"detectors": ["key_used"]}),)},
            {"tag/env": "dev"},
            "",
        ),
        ({"tiers": {"tier-0": TIER_0}}, {"tag/env": "x"}, ""),
        ({"maintenance": (NIGHT,)}, {"tag/team": "x"}, ""),
        ({"suppressions": (QUIET,)}, {"alias/prod": True}, ""),
    ],
)
def test_what_weakens_a_key(settings: dict[str, Any], changes: dict[str, Any], why: str) -> None:
    aspect = Aspect.ALIASES if next(iter(changes)).startswith("alias/") else Aspect.TAGS
    rules = replace(PLAIN, **settings)
    found = label(aspect, changes=changes)
    assert "; ".join(weakened(found, rules)) == why
    seen = minded(found, rules)
    if not why:
        assert seen is found
        return
    assert (seen.kind, seen.severity, seen.details["weakened"]) == (
        Kind.DAMAGE,
        Severity.HIGH,
        why,
    )
    assert why in seen.title


def test_of_labels_that_are_not_known_nothing_is_said() -> None:
    rules = replace(PLAIN, response=(DEV_TAG,))
    found = replace(label(changes={"tag/env": "dev"}), tags_known=False, tags={})
    assert weakened(found, rules) == []
    assert weakened(replace(label(changes={"tag/env": "dev"}), kind=Kind.NOTICE), rules) == []


# -- on the road of all findings

WHOLE = replace(
    snapshot(
        KeyState.ENABLED, aliases=("alias/payments",), tags={"env": "prod"}, grants=(), policy="{}"
    ),
    as_of=EPOCH - 2 * YOUNG,
)


class World:
    def __init__(self, known: Baseline | None, rules: Rules) -> None:
        self.store = MemoryStore(HandClock())
        self.rules = rules
        knowledge = Knowledge()
        if known is not None:
            self.store.right[KEY] = known
            knowledge.learn(known.snapshot(WHOLE))
        detectors: Any = [
            KeyChanged(NoOptions(), knowledge),
            AliasCreated(NoOptions(), knowledge),
            ProtectionTagRemoved(TagOptions(), knowledge),
        ]
        self.detection = Detection(detectors, Metrics(), knowledge)
        self.approvals = Approvals(self.store, Metrics(), knowledge)

    async def judged(self, name: str, **request: Any) -> list[Decision]:
        seen = self.detection.inspect(event(eventName=name, requestParameters=request))
        return await self.approvals.decide(seen.findings, self.rules, EPOCH + 3)


RULES = replace(PLAIN, response=(DEV, DEV_TAG))


def verdicts(decisions: list[Decision]) -> set[Verdict]:
    return {one.verdict for one in decisions if one.finding.detector == "key_changed"}


async def test_whoever_labels_a_key_as_another_one_is_undone() -> None:
    world = World(sighted(None, WHOLE), RULES)
    tag = [{"tagKey": "env", "tagValue": "dev"}]
    assert verdicts(await world.judged("TagResource", keyId=ARN, tags=tag)) == {Verdict.REPAIR}
    made = await world.judged("CreateAlias", targetKeyId=ARN, aliasName="alias/dev-x")
    assert verdicts(made) == {Verdict.REPAIR}
    fair = [{"tagKey": "team", "tagValue": "payments"}]
    assert verdicts(await world.judged("TagResource", keyId=ARN, tags=fair)) == {Verdict.ACCEPT}


async def test_a_new_key_gets_its_first_labels() -> None:
    young = sighted(None, replace(WHOLE, as_of=EPOCH - YOUNG + 60))
    for known in (young, accepted(None, KEY, {"state": "Enabled"}, EPOCH - 5), None):
        world = World(known, RULES)
        made = await world.judged("CreateAlias", targetKeyId=ARN, aliasName="alias/dev-x")
        assert verdicts(made) == {Verdict.ACCEPT}


async def test_who_may_change_labels_may_change_these_too() -> None:
    tag = [{"tagKey": "env", "tagValue": "dev"}]
    actor = "arn:aws:iam::*:role/path/ops-admin"
    world = World(sighted(None, WHOLE), replace(RULES, approved_actors=(actor,)))
    assert verdicts(await world.judged("TagResource", keyId=ARN, tags=tag)) == {Verdict.ACCEPT}

    world = World(sighted(None, WHOLE), RULES)
    given = approval(action="TagResource", actor=actor)
    world.store.approved[given.id] = given
    assert verdicts(await world.judged("TagResource", keyId=ARN, tags=tag)) == {Verdict.ACCEPT}


async def test_without_the_store_it_is_not_minded_and_cannot_be_accepted() -> None:
    world = World(sighted(None, WHOLE), RULES)

    async def broken(*_: Any) -> Any:
        raise StoreError("disk full")

    world.store.baseline = broken  # type: ignore[method-assign,assignment]
    tag = [{"tagKey": "env", "tagValue": "dev"}]
    assert verdicts(await world.judged("TagResource", keyId=ARN, tags=tag)) == {Verdict.ACCEPT}
