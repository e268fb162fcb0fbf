"""Decisions with the approvals of the store: who asks for them, and when they are spent.

In scope: `monitor.approvals`, policy, `MemoryStore`, and the parsing of the command line.
"""

import json
from pathlib import Path
from typing import Any, Self

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from monitor.approval import Approval, NeverApprove
from monitor.approvals import Approvals
from monitor.approving import asked
from monitor.cli import app
from monitor.decision import Decision, Reason, Verdict
from monitor.errors import Denied, SettingsError
from monitor.finding import Actor, Aspect, Finding, Kind
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.ledger import StoreError
from monitor.metrics import Metrics
from monitor.policy import Mode, Rules
from monitor.settings import Settings
from monitor.stores.memory import MemoryStore
from monitor.testing.fakes import HandClock
from tests.samples import ACCOUNT, ARN, BOB, EPOCH, KEY, REGION, approval, finding, snapshot

RULES = Rules(
    mode=Mode.ENFORCE,
    places=frozenset({(ACCOUNT, REGION)}),
    repairers=("restore_key",),
    tellers=("sns",),
)
POLICY = finding(event_name="PutKeyPolicy", aspect=Aspect.POLICY, caused=None)
DELETION = finding(event_name="ScheduleKeyDeletion", details={"window_days": "30"})
LEFT = (Verdict.ACCEPT, Reason.APPROVED_CHANGE)
UNDONE = (Verdict.REPAIR, Reason.ENFORCE)


class Broken(MemoryStore):
    """A store of which one call fails."""

    def __init__(self, call: str) -> None:
        super().__init__(HandClock())
        setattr(self, call, self.fail)

    async def fail(self, *_: Any) -> Any:
        raise StoreError("disk full")


class World:
    def __init__(self, *given: Approval, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore(HandClock())
        self.store.approved = {one.id: one for one in given}
        self.metrics, self.knowledge = Metrics(), Knowledge()
        self.approvals = Approvals(self.store, self.metrics, self.knowledge)

    async def decide(self, *findings: Finding, rules: Rules = RULES) -> list[Decision]:
        return await self.approvals.decide(findings, rules, EPOCH + 3)

    async def judged(self, *findings: Finding, rules: Rules = RULES) -> tuple[Verdict, Reason]:
        *_, decision = await self.decide(*findings, rules=rules)
        return decision.verdict, decision.reason

    @property
    def used(self) -> list[str]:
        return [use.event_id for one in self.store.approved.values() for use in one.used]

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels)


async def test_an_approved_change_is_accepted_and_spent_by_whoever_confirms_it() -> None:
    world = World(approval())
    (decided,) = await world.decide(finding())
    assert (decided.verdict, decided.reason) == LEFT
    assert (decided.approval, decided.received_at) == (approval(), EPOCH + 3)
    assert decided.responders == ("restore_key", "sns")
    assert world.used == []


async def test_what_nobody_repairs_is_told_as_approved_and_spent() -> None:
    world = World(approval(action="PutKeyPolicy"))
    for _ in range(2):  # redelivered
        assert await world.judged(POLICY) == (Verdict.TELL, Reason.APPROVED_CHANGE)
        assert world.used == [POLICY.event_id]
    other = replace(POLICY, event_id="another")
    assert await world.judged(other) == (Verdict.TELL, Reason.NO_REPAIRER)


async def test_spent_by_another_replica_in_between_it_is_told_as_it_is() -> None:
    world = World(approval(action="PutKeyPolicy"))

    async def use(*_: Any) -> bool:
        return False

    world.store.use = use  # type: ignore[method-assign,assignment]
    assert await world.judged(POLICY) == (Verdict.TELL, Reason.NO_REPAIRER)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": Kind.NOTICE},
        {"kind": Kind.CHANGE},
        {"kind": Kind.ATTEMPT, "error_code": "AccessDenied"},
        {"key": None},
        {"key": KeyRef("999988887777", REGION, "x"), "account": "999988887777"},
        {"actor": Actor(arn=f"arn:aws:iam::{ACCOUNT}:user/kms-monitor")},
    ],
)
async def test_the_store_is_asked_only_about_damage_by_others(changes: Any) -> None:
    world = World(store=Broken("approvals"))
    ours = replace(RULES, own_arns=frozenset({f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"}))
    await world.decide(finding(**changes), rules=ours)
    assert world.sample("store_errors_total", call="approvals") == 0


@pytest.mark.parametrize("call", ["approvals", "use"])
async def test_without_the_store_damage_is_damage(call: str) -> None:
    world = World(approval(), approval(id="2", action="PutKeyPolicy"), store=Broken(call))
    assert await world.judged(finding()) == (UNDONE if call == "approvals" else LEFT)
    assert await world.judged(POLICY) == (Verdict.TELL, Reason.NO_REPAIRER)
    assert (world.sample("store_errors_total", call=call) or 0) >= 1


async def test_without_any_store_it_is_the_policy_alone() -> None:
    (decided,) = await Approvals().decide([finding()], RULES, EPOCH)
    assert (decided.verdict, decided.reason) == UNDONE
    await Approvals().measure(EPOCH)


async def test_a_short_waiting_period_counts_for_all_that_is_seen_in_the_event() -> None:
    world = World(approval(action="ScheduleKeyDeletion"))
    third_party = replace(DELETION, detector="theirs", details={})
    assert await world.judged(DELETION) == LEFT
    assert await world.judged(DELETION, third_party) == LEFT
    assert await world.judged(third_party) == UNDONE
    hurried = replace(DELETION, details={"window_days": "7"})
    assert await world.judged(hurried, third_party) == UNDONE


async def test_keys_that_are_never_to_be_approved_for() -> None:
    world = World(approval())
    never = replace(RULES, never_approve=NeverApprove(tags={"tier": "0"}))
    assert await world.judged(finding(), rules=never) == UNDONE  # not known yet
    world.knowledge.learn(snapshot(KeyState.ENABLED))
    assert await world.judged(finding(), rules=never) == UNDONE  # nor now
    world.knowledge.learn(snapshot(KeyState.ENABLED, tags={}, aliases=()))
    assert await world.judged(finding(), rules=never) == LEFT
    world.knowledge.learn(snapshot(KeyState.ENABLED, tags={"tier": "0"}, aliases=()))
    assert await world.judged(finding(), rules=never) == UNDONE
    # Nor does the list of approved actors waive it.
    named = replace(never, approved_actors=(BOB.arn,))
    assert await world.judged(finding(tags={"tier": "1"}), rules=named) == (
        Verdict.ACCEPT,
        Reason.APPROVED_ACTOR,
    )
    assert await world.judged(finding(tags={"tier": "0"}), rules=named) == UNDONE


async def test_of_several_the_one_spent_for_it_then_the_one_that_ends_first() -> None:
    late, soon = approval(id="late", until=EPOCH + 50), approval(id="soon", until=EPOCH + 5)
    world = World(late, soon)
    (decided,) = await world.decide(finding())
    assert decided.approval == soon
    assert await world.store.use("late", finding().event_id, EPOCH)
    (decided,) = await world.decide(finding())
    assert decided.approval is not None
    assert decided.approval.id == "late"


async def test_an_approved_actor_spends_nothing() -> None:
    world = World(approval())
    rules = replace(RULES, approved_actors=(BOB.arn,))
    assert await world.judged(finding(), rules=rules) == (Verdict.ACCEPT, Reason.APPROVED_ACTOR)


async def test_how_many_there_are() -> None:
    world = World(approval(), approval(id="2"), approval(id="3", revoked_at=1.0))
    assert world.sample("approvals", state="open") == 0
    await world.approvals.measure(EPOCH)
    assert [world.sample("approvals", state=one) for one in ("open", "used", "expired", "revoked")] == [2, 0, 0, 1]  # fmt: skip
    await world.approvals.measure(EPOCH + 4000)
    assert [world.sample("approvals", state=one) for one in ("open", "expired")] == [0, 2]


# -- the command line

SETTINGS = Settings.model_validate(
    {
        "mode": "enforce",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "queues": [{"url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q", "region": REGION}],
    }
)


def test_what_is_asked_for() -> None:
    assert asked.key_of(ARN, SETTINGS) == KEY
    assert asked.action_of("DisableKey") == "DisableKey"
    assert asked.line_of(" CHG-1 ", "--ticket", needed=True) == "CHG-1"
    assert asked.line_of("", "--reason") == ""


@pytest.mark.parametrize(
    "arn",
    [BOB.arn, f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws-cn:iam::{ACCOUNT}:role/ops/*"],
)
def test_actors(arn: str) -> None:
    assert asked.actor_of(arn) == arn


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m", 60), ("2h", 7200), ("14d", 14 * 86400), ("2026-11-20T10:14:03Z", 3600)],
)
def test_ends(text: str, seconds: float) -> None:
    assert asked.until_of(text, EPOCH) == EPOCH + seconds


@pytest.mark.parametrize(
    ("part", "given", "words"),
    [
        (asked.key_of, ("alias/x", SETTINGS), "must be a key's ARN"),
        (asked.key_of, (ARN.replace(REGION, "us-east-1"), SETTINGS), "is in no account"),
        (asked.key_of, (ARN.replace(ACCOUNT, "999988887777"), SETTINGS), "and Region of the"),
        (asked.action_of, ("disablekey",), "DisableKey, DisableKeyRotation"),
        (asked.actor_of, ("*",), "must be the own ARN"),
        (asked.actor_of, ("arn:aws:iam::*:role/x",), "of an IAM user or role"),
        (asked.actor_of, (f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y",), "of a session"),
        (asked.line_of, ("a\nb", "--reason"), "--reason: must be one line"),
        (asked.line_of, ("x" * 201, "--approver"), "--approver: must be one line"),
        (asked.until_of, ("0h", EPOCH), "later than now"),
        (asked.until_of, ("15d", EPOCH), "within 14 days"),
        (asked.until_of, ("never", EPOCH), "must be later than now, and"),
        (asked.until_of, ("2026-11-20T10:14:03", EPOCH), "with its zone"),
        (asked.until_of, ("tomorrow", EPOCH), "must be 30m, 2h, 7d"),
    ],
)
def test_what_is_refused(part: Any, given: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        part(*given)


class Door:
    """AWS as the command sees it: who calls, and a key's names and tags, or what is refused."""

    def __init__(self, who: str = "", **whole: Any) -> None:
        self.who = who
        self.whole = whole

    def __call__(self, *_: Any) -> "Door":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def identity(self, account: str, region: str) -> str:
        assert (account, region) == ("", REGION)
        if not self.who:
            raise Denied("no AWS credentials")
        return self.who

    async def read(self, key: KeyRef) -> KeySnapshot:
        assert key == KEY
        if "denied" in self.whole:
            raise Denied("kms:DescribeKey: AccessDeniedException")
        return snapshot(KeyState.ENABLED)

    async def read_whole(self, live: KeySnapshot) -> tuple[KeySnapshot, dict[str, str]]:
        return replace(live, **self.whole), {"ListResourceTags": "kms:ListResourceTags: no"}


async def ask(monkeypatch: pytest.MonkeyPatch, door: Door, never: Any, **changes: Any) -> Approval:
    monkeypatch.setattr(asked, "make_aws", door)
    monkeypatch.setattr(asked, "LiveKeys", door)
    settings = SETTINGS.model_copy(update={"never_approve": NeverApprove(**never)})
    return await asked.approved(approval(**changes), settings, HandClock())


ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"


async def test_who_approves_is_known_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask(monkeypatch, Door(ALICE), {}, approver="")).approver == ALICE
    assert await ask(monkeypatch, Door(), {}) == approval()
    with pytest.raises(SettingsError, match="is needed, for AWS does not say who you are: no AWS"):
        await ask(monkeypatch, Door(), {}, approver="")
    with pytest.raises(SettingsError, match="somebody else has to"):
        await ask(monkeypatch, Door(BOB.arn), {}, approver="")


async def test_what_is_never_to_be_approved_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"tags": {"tier": "0"}}
    plain = Door(tags={"tier": "1"}, aliases=())
    assert await ask(monkeypatch, plain, tags) == approval()
    for door, never in (
        (Door(tags={"tier": "0"}, aliases=()), tags),
        (Door(tags={}, aliases=("alias/root",)), {"keys": ["alias/*"]}),
        (Door(denied=True), {"keys": [ARN]}),  # AWS need not be asked
    ):
        with pytest.raises(SettingsError, match="is never to be approved for"):
            await ask(monkeypatch, door, never)
    with pytest.raises(SettingsError, match="cannot be told: kms:ListResourceTags: no"):
        await ask(monkeypatch, Door(tags=None, aliases=()), tags)
    with pytest.raises(SettingsError, match="cannot be told: kms:DescribeKey"):
        await ask(monkeypatch, Door(denied=True), tags)


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"kind": "memory"}, "no other process can see"),
        ({"path": "none/state.db"}, "there is no none"),
    ],
)
def test_a_store_that_the_daemon_does_not_share(
    tmp_path: Path, store: dict[str, str], words: str
) -> None:
    file = tmp_path / "settings.yaml"
    document = SETTINGS.model_dump(mode="json", exclude_none=True) | {"store": store}
    file.write_text(json.dumps(document))
    run = CliRunner().invoke(app, ["approvals", "list", "--config", str(file)])
    assert (run.exit_code, words in run.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == [file]


def test_a_ticket_has_to_be_named() -> None:
    with pytest.raises(SettingsError, match="--ticket: must be one line"):
        asked.line_of(" ", "--ticket", needed=True)
