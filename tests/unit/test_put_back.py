"""Whatever is done to a key, a repair ends with the key as it was, or says what it cannot do.

In scope: `monitor.changes`, `monitor.baseline`, `monitor.repair` over the simulator's strict KMS, with
reads that lag and request quotas. Replaced: the network, and time, by the loop's virtual time.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.baseline import Baseline, accepted, damaged, resolved, sighted
from monitor.changes import CHANGING, changes_of
from monitor.errors import Denied, WorthRetrying
from monitor.finding import Aspect
from monitor.key import KeySnapshot, KeyState, canonical
from monitor.register import POLICY, STATE, by_aspect, registers_of
from monitor.repair.live import LiveKeys
from monitor.repair.plan import Limits, RepairPlan, differs, plan
from monitor.repair.work import Work
from monitor.repair.writing import KeyWriter
from monitor.simulator.words import Refusal
from tests.direct_kms import Playground
from tests.samples import ACCOUNT, REGION

pytestmark = pytest.mark.looptime
OTHER_REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
LEADS_TO = {
    "DisableKey": KeyState.DISABLED,
    "ScheduleKeyDeletion": KeyState.PENDING_DELETION,
    "CancelKeyDeletion": KeyState.DISABLED,
    "EnableKey": KeyState.ENABLED,
}


@pytest.fixture(autouse=True)
def _few_tries() -> Iterator[None]:
    # Stamina looks at the machine's own clock, which does not run in virtual time.
    with stamina.set_testing(True, attempts=3):
        yield


def policy(*statements: dict[str, Any]) -> str:
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [root, *statements]})


PUBLIC = {"Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"}


class Scene:
    """One key with all that a key may have, or a multi-Region key with a replica, and its baseline."""

    def __init__(self, *, multi_region: bool, disabled: bool, **options: Any) -> None:
        self.ground = Playground(**options)
        ground = self.ground
        self.key = ground.make(
            MultiRegion=multi_region,
            Description="payments",
            Tags=[{"TagKey": "Owner", "TagValue": "crypto"}],
        )
        self.other = ground.make()
        arn = self.key.arn
        self.grants: list[str] = []
        ground.does("admin", "CreateAlias", AliasName="alias/payments", TargetKeyId=arn)
        self.grant("admin", arn, "one", ["Decrypt"])
        self.grant("admin", arn, "two", ["Encrypt", "Decrypt"])
        ground.does("admin", "EnableKeyRotation", KeyId=arn, RotationPeriodInDays=180)
        if multi_region:
            assert ground.does("admin", "ReplicateKey", KeyId=arn, ReplicaRegion=OTHER_REGION)
        self.disabled = disabled
        self.keys = LiveKeys(ground, ground.clock)
        self.baseline = Baseline(self.key)

    def grant(self, who: str, arn: str, name: str, operations: list[str]) -> bool:
        asked: dict[str, Any] = {
            "KeyId": arn,
            "GranteePrincipal": ROLE,
            "Name": name,
            "Operations": operations,
        }
        if not self.ground.does(who, "CreateGrant", **asked):
            return False
        self.grants.append(self.ground.events[-1].response()["grantId"])
        return True

    async def begin(self) -> None:
        await asyncio.sleep(60)  # all that was made is seen everywhere
        if self.disabled:
            assert self.ground.does("admin", "DisableKey", KeyId=self.key.arn)
            await asyncio.sleep(60)
        self.baseline = sighted(None, await self.truth())

    async def truth(self) -> KeySnapshot:
        """The key as it is, which lagging reads show after a while."""
        lag, self.ground.kms_itself.consistency_seconds = (
            self.ground.kms_itself.consistency_seconds,
            0.0,
        )
        scale, self.ground.kms_itself.quota_scale = self.ground.kms_itself.quota_scale, None
        try:
            whole, problems = await self.keys.read_whole(await self.keys.read(self.key))
        finally:
            self.ground.kms_itself.consistency_seconds = lag
            self.ground.kms_itself.quota_scale = scale
        assert not problems
        return whole

    def attack(self, what: tuple[str, Any]) -> bool:
        """One call of somebody who should not. False if KMS refuses it."""
        name, value = what
        arn, does = self.key.arn, self.ground.does
        match name:
            case "PutKeyPolicy":
                given = policy(PUBLIC) if value else policy()
                return does("mallory", name, KeyId=arn, PolicyName="default", Policy=given)
            case "TagResource":
                tags = [{"TagKey": value, "TagValue": "mallory"}]
                return does("mallory", name, KeyId=arn, Tags=tags)
            case "UntagResource":
                return does("mallory", name, KeyId=arn, TagKeys=[value])
            case "UpdateAlias" | "CreateAlias":
                target = self.other.arn if name == "UpdateAlias" else arn
                return does("mallory", name, AliasName=value, TargetKeyId=target)
            case "DeleteAlias":
                return does("mallory", name, AliasName=value)
            case "CreateGrant":
                return self.grant("mallory", arn, value, ["Decrypt"])
            case "RevokeGrant":
                grant = self.grants[value % len(self.grants)]
                return does("mallory", name, KeyId=arn, GrantId=grant)
            case "EnableKeyRotation":
                return does("mallory", name, KeyId=arn, RotationPeriodInDays=value)
            case "UpdateKeyDescription":
                return does("mallory", name, KeyId=arn, Description=value)
            case "UpdatePrimaryRegion":
                return does("mallory", name, KeyId=arn, PrimaryRegion=OTHER_REGION)
            case "ScheduleKeyDeletion":
                return does("mallory", name, KeyId=arn, PendingWindowInDays=7)
        return does("mallory", name, KeyId=arn)


ATTACKS = st.one_of(
    *(
        st.tuples(st.just(name), st.none())
        for name in (
            "DisableKey",
            "EnableKey",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
            "DisableKeyRotation",
            "UpdatePrimaryRegion",
        )
    ),
    st.tuples(st.just("PutKeyPolicy"), st.booleans()),
    st.tuples(st.just("TagResource"), st.sampled_from(["Owner", "New"])),
    st.tuples(st.just("UntagResource"), st.sampled_from(["Owner", "New"])),
    st.tuples(
        st.sampled_from(["UpdateAlias", "CreateAlias", "DeleteAlias"]),
        st.sampled_from(["alias/payments", "alias/new"]),
    ),
    st.tuples(st.just("CreateGrant"), st.sampled_from(["one", "three"])),
    st.tuples(st.just("RevokeGrant"), st.integers(0, 5)),
    st.tuples(st.just("EnableKeyRotation"), st.sampled_from([90, 365])),
    st.tuples(st.just("UpdateKeyDescription"), st.sampled_from(["", "mine now"])),
)


def touched(scene: Scene, since: int) -> dict[str, Any]:
    """How all should be that events from this number on changed, as the daemon would know it."""
    known: Baseline | None = scene.baseline
    wanted: dict[str, Any] = {}
    for event in scene.ground.events[since:]:
        changes = dict(changes_of(event))
        if event.event_name in LEADS_TO and event.key == scene.key:
            changes[STATE] = LEADS_TO[event.event_name].value
        if event.event_name == "UpdateAlias":
            changes = dict.fromkeys(changes)  # away from whatever key had it
        elif event.key != scene.key:
            continue
        known = damaged(known, changes, event.time)
        assert known is not None
        for name in resolved(known, changes):
            if known.knows(name):
                wanted[name] = known.value(name)
    return wanted


async def put_back(scene: Scene, wanted: dict[str, Any]) -> RepairPlan:
    """As the daemon does it: again, while it is told that a repair is worth another try."""
    for _ in range(40):
        work = Work(
            scene.keys,
            KeyWriter(scene.ground),
            scene.ground.clock,
            wanted=wanted,
            limits=Limits(),
            settle_seconds=20,
        )
        try:
            _, left = await work.carry_out(await work.read(await scene.keys.read(scene.key)))
        except WorthRetrying:
            await asyncio.sleep(5)
            continue
        return left
    raise AssertionError("it never came to an end")


@settings(max_examples=80, deadline=None)
@given(
    attacks=st.lists(ATTACKS, min_size=1, max_size=8),
    multi_region=st.booleans(),
    disabled=st.booleans(),
    lag=st.sampled_from([0.0, 2.0]),
    throttled=st.booleans(),
)
async def test_the_key_ends_as_it_was_or_people_are_told_what_is_impossible(
    attacks: list[tuple[str, Any]],
    multi_region: bool,
    disabled: bool,
    lag: float,
    throttled: bool,
) -> None:
    scene = Scene(multi_region=multi_region, disabled=disabled, consistency_seconds=lag)
    await scene.begin()
    before = await scene.truth()
    since = len(scene.ground.events)
    for attack in attacks:
        scene.attack(attack)
        await asyncio.sleep(1.5)
    wanted = touched(scene, since)
    if throttled:
        scene.ground.kms_itself.quota_scale = 0.2
    await asyncio.sleep(lag)  # the daemon waits as long as a young event may be doubted
    left = await put_back(scene, wanted)
    after = await scene.truth()
    unmended = {name for name, value in wanted.items() if differs(after, name, value)}
    assert bool(unmended) is bool(left.impossible), (unmended, left)
    assert plan(after, wanted).impossible == left.impossible
    assert {call for who, call in scene.ground.written if who == "kms-monitor"} <= {
        "CancelKeyDeletion",
        "EnableKey",
        "PutKeyPolicy",
        "TagResource",
        "UntagResource",
        "UpdateAlias",
        "CreateAlias",
        "CreateGrant",
        "RevokeGrant",
        "EnableKeyRotation",
        "UpdateKeyDescription",
        "UpdatePrimaryRegion",
    }
    if not unmended:
        check_equal(before, after)


def check_equal(before: KeySnapshot, after: KeySnapshot) -> None:
    """Everything, but for what somebody made better, and aliases that the key got besides."""
    was, now = registers_of(before)[0], registers_of(after)[0]
    was = {name: value for name, value in was.items() if not name.startswith("grant/")}
    for name, value in was.items():
        if name == STATE and after.state is KeyState.ENABLED:
            continue
        assert now.get(name) == value, name
    names = [one for key in (before, after) for one in registers_of(key)[0] if "grant/" in one]
    assert all(names.count(one) == 2 for one in names), "a grant more or less"
    assert set(after.tags or ()) == set(before.tags or ())


@settings(max_examples=60, deadline=None)
@given(attacks=st.lists(ATTACKS, min_size=1, max_size=10), multi_region=st.booleans())
async def test_records_tell_all_that_calls_change(
    attacks: list[tuple[str, Any]], multi_region: bool
) -> None:
    """What `monitor.changes` reads out of the records is what the strict KMS did to the key."""
    scene = Scene(multi_region=multi_region, disabled=False)
    await scene.begin()
    expected = dict(registers_of(await scene.truth())[0])
    for attack in attacks:
        since = len(scene.ground.events)
        scene.attack(attack)
        await asyncio.sleep(1.5)
        for event in scene.ground.events[since:]:
            changes = dict(changes_of(event))
            if changes:
                assert by_aspect(changes) == {CHANGING[event.event_name][0]}
            if event.key != scene.key:
                changes = dict.fromkeys(changes)
            for name, value in changes.items():
                if name.startswith("grant-id/"):
                    gone = [
                        one
                        for one, grant in expected.items()
                        if isinstance(grant, dict) and grant.get("grant_id") == name[9:]
                    ]
                    for one in gone:
                        del expected[one]
                elif value is None:
                    expected.pop(name, None)
                else:
                    expected[name] = value
        live = await scene.truth()
        seen = dict(registers_of(live)[0])
        ours = dict(expected)
        for names in (ours, seen):
            names.pop(STATE, None)
            if live.state is not KeyState.ENABLED:
                names.pop("rotation", None)  # KMS shows none while the key cannot be used
        assert seen == {"description": "", "expiry": None, **ours}


async def test_a_right_that_is_missing_stops_only_what_needs_it() -> None:
    scene = Scene(multi_region=False, disabled=False)
    await scene.begin()
    ground, arn = scene.ground, scene.key.arn
    since = len(ground.events)
    for attack in (
        ("DisableKey", None),
        ("UntagResource", "Owner"),
        ("DeleteAlias", "alias/payments"),
    ):
        assert scene.attack(attack)
    call = ground.call

    def denying(operation: str, parameters: Any, caller: Any, region: str) -> Any:
        if caller.user == "kms-monitor" and operation == "TagResource":
            raise ground.kms_itself.authorization_error(
                operation, parameters, caller=caller, account=ACCOUNT, region=REGION, why="no"
            )
        return call(operation, parameters, caller, region)

    ground.call = denying  # type: ignore[method-assign]
    with pytest.raises(Denied, match=r"TagResource.*after EnableKey, UpdateAlias succeeded"):
        await put_back(scene, touched(scene, since))
    after = await scene.truth()
    assert (after.state, after.aliases, after.tags) == (KeyState.ENABLED, ("alias/payments",), {})
    assert ground.kms_itself.state_of(arn) == "Enabled"


async def test_the_policy_goes_back_even_if_it_never_let_us() -> None:
    """KMS refuses a policy that would shut its writer out, unless it is asked not to look."""
    scene = Scene(multi_region=False, disabled=False)
    only_admin = policy().replace(f"{ACCOUNT}:root", f"{ACCOUNT}:user/admin")
    asked = {"KeyId": scene.key.arn, "PolicyName": "default", "Policy": only_admin}
    assert scene.ground.does("admin", "PutKeyPolicy", **asked)
    before = json.loads(only_admin)
    scene.baseline = accepted(None, scene.key, {"policy": canonical(before)}, 0.0)
    everybody = {**asked, "Policy": policy(PUBLIC | {"Action": "kms:*"})}
    assert scene.ground.does("admin", "PutKeyPolicy", **everybody)
    with pytest.raises(Denied, match=r"DescribeKey.*after PutKeyPolicy succeeded"):
        await put_back(scene, {"policy": canonical(before)})
    assert json.loads(scene.ground.kms_itself.policy_of(scene.key.arn)) == before


async def test_rotation_of_a_replica_is_set_where_the_primary_is() -> None:
    scene = Scene(multi_region=True, disabled=False)
    await scene.begin()
    since = len(scene.ground.events)
    assert scene.attack(("DisableKeyRotation", None))
    assert scene.attack(("UpdatePrimaryRegion", None))
    await asyncio.sleep(60)
    left = await put_back(scene, touched(scene, since))
    assert left.nothing_to_do
    after = await scene.truth()
    assert (after.rotation_days, after.primary) == (180, scene.key)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
async def test_what_cannot_be_read_back_is_not_called_right(code: str) -> None:
    scene = Scene(multi_region=False, disabled=False)
    await scene.begin()
    assert scene.attack(("PutKeyPolicy", True))
    wanted = {POLICY: scene.baseline.value(POLICY)}
    live, _ = await scene.keys.read_parts(await scene.keys.read(scene.key), {Aspect.POLICY})
    call = scene.ground.call

    def refusing(operation: str, parameters: Any, caller: Any, region: str) -> Any:
        if operation == "GetKeyPolicy" and ("kms-monitor", "PutKeyPolicy") in scene.ground.written:
            raise Refusal(code, "no")
        return call(operation, parameters, caller, region)

    scene.ground.call = refusing  # type: ignore[method-assign]
    work = Work(
        scene.keys,
        KeyWriter(scene.ground),
        scene.ground.clock,
        wanted=wanted,
        limits=Limits(),
        settle_seconds=20,
    )
    with pytest.raises(WorthRetrying, match=r"read back: .*, after PutKeyPolicy succeeded"):
        await work.carry_out(live)
