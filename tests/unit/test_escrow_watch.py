"""Which keys the look at the escrows is about. What it finds is in tests/journey/test_material.py."""

from typing import Any

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from monitor.errors import NotWorthRetrying
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.knowledge import Knowledge
from monitor.loops.escrow_watch import EscrowWatch
from monitor.metrics import Metrics
from tests.samples import KEY

HERE = (KEY.account, KEY.region)
THERE = ("999988887777", KEY.region)


class Imports:
    """Lets nobody look at any key."""

    def __init__(self) -> None:
        self.asked: list[KeyRef] = []

    async def look(self, key: KeyRef) -> Any:
        self.asked.append(key)
        raise NotWorthRetrying("AccessDeniedException")


class Reimport:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.all_metrics = Metrics(self.registry)
        self.metrics = self.all_metrics.material
        self.imports = Imports()

    def lacking(self, place: tuple[str, str]) -> float | None:
        labels = dict(zip(("account", "region"), place, strict=True))
        return self.registry.get_sample_value("kms_monitor_keys_without_escrow", labels)


async def test_accounts_that_join_are_looked_at_and_those_that_left_no_more() -> None:
    other = replace(KEY, account=THERE[0])
    known = [KeySnapshot(key, KeyState.ENABLED, 0.0, origin="EXTERNAL") for key in (KEY, other)]
    knowledge, reimport = Knowledge(snapshots=known), Reimport()
    watch = EscrowWatch(reimport, knowledge, seconds=9)  # type: ignore[arg-type]
    knowledge.places = frozenset({HERE})
    await watch.check()
    assert (reimport.lacking(HERE), reimport.lacking(THERE)) == (1, None)
    knowledge.places = frozenset({THERE})
    reimport.all_metrics.gone([HERE])
    reimport.imports.asked.clear()
    await watch.check()
    assert reimport.imports.asked == [other]
    assert (reimport.lacking(HERE), reimport.lacking(THERE)) == (None, 1)
