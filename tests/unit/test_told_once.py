"""What KMS tells on two ways is one finding; what happens twice is two."""

import json
from typing import Any

import pytest

from monitor.detector import NATIVE, NoOptions
from monitor.detectors.imported_material import ImportedMaterialExpired
from monitor.detectors.key_deleted import KeyDeleted
from monitor.envelope import open_body
from monitor.event import Event, Wanted
from monitor.finding import Finding
from tests.samples import ACCOUNT, REGION, event

MATERIAL = "a" * 64
DEATH, EXPIRY = "KMS CMK Deletion", "KMS Imported Key Material Expiration"
PLAIN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0a1b2c3d-0000-4000-8000-000000000001"
REPLICA = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/mrk-00000000000000000000000000000001"


def service(name: str, arn: str, time: str, **details: str) -> Event:
    return event(
        eventName=name,
        eventTime=time,
        eventID=f"service-{name}-{time}",
        userIdentity={"accountId": ACCOUNT, "invokedBy": "AWS Internal"},
        requestParameters=None,
        responseElements=None,
        resources=[{"ARN": arn}] if arn else None,
        serviceEventDetails=details,
    )


def native(kind: str, arn: str, time: str, **detail: str) -> Event:
    told: dict[str, Any] = {
        "version": "0",
        "id": f"native-{kind}-{time}",
        "detail-type": kind,
        "source": NATIVE,
        "account": ACCOUNT,
        "time": time,
        "region": REGION,
        "resources": [arn],
        "detail": detail,
    }
    (found,) = open_body(json.dumps(told), Wanted(frozenset({(NATIVE, kind)}))).events
    return found


def deaths(*events: Event) -> list[Finding]:
    return [one for seen in events for one in KeyDeleted(NoOptions()).inspect(seen)]


def expiries(*events: Event) -> list[Finding]:
    made = ImportedMaterialExpired(NoOptions())
    return [one for seen in events for one in made.inspect(seen)]


def ids(found: list[Finding]) -> set[str]:
    return {one.finding_id for one in found}


@pytest.mark.parametrize("arn", [PLAIN, REPLICA])
def test_the_death_of_a_key_is_told_once(arn: str) -> None:
    found = deaths(
        service("DeleteKey", arn, "2026-11-20T00:00:00Z"),
        native(DEATH, arn, "2026-11-20T00:00:09Z"),
        native(DEATH, arn, "2026-11-20T00:00:11Z"),
    )
    assert len(found) == 3
    assert len(ids(found)) == 1


def test_a_replica_may_die_again_a_week_later() -> None:
    first, second = "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"
    assert len(ids(deaths(*(service("DeleteKey", REPLICA, at) for at in (first, second))))) == 2
    # A late copy, on the other side of midnight, is of the same death: a plain key has but one.
    assert len(ids(deaths(*(service("DeleteKey", PLAIN, at) for at in (first, second))))) == 1


def test_two_keys_die_two_deaths() -> None:
    at = "2026-11-20T00:00:00Z"
    assert len(ids(deaths(*(service("DeleteKey", arn, at) for arn in (PLAIN, REPLICA))))) == 2


def test_deaths_of_unknown_keys_are_not_thrown_together() -> None:
    found = deaths(
        service("DeleteKey", "", "2026-11-20T00:00:00Z"),
        service("DeleteKey", "", "2026-11-20T00:00:01Z"),
    )
    assert {one.key for one in found} == {None}
    assert len(ids(found)) == 2


def test_the_expiry_of_a_material_is_told_once() -> None:
    found = expiries(
        service("DeleteExpiredKeyMaterial", PLAIN, "2026-11-20T00:00:00Z", keyMaterialId=MATERIAL),
        native(EXPIRY, PLAIN, "2026-11-20T00:00:05Z", **{"key-material-id": MATERIAL}),
    )
    assert len(found) == 2
    assert len(ids(found)) == 1


def test_the_expiry_is_told_once_where_neither_names_the_material() -> None:
    found = expiries(
        service("DeleteExpiredKeyMaterial", PLAIN, "2026-11-20T00:00:00Z"),
        native(EXPIRY, PLAIN, "2026-11-20T00:00:05Z"),
    )
    assert len(ids(found)) == 1


def test_two_materials_of_one_key_expire_twice() -> None:
    at = "2026-11-20T00:00:00Z"
    found = expiries(
        service("DeleteExpiredKeyMaterial", PLAIN, at, keyMaterialId=MATERIAL),
        service("DeleteExpiredKeyMaterial", PLAIN, at, keyMaterialId="b" * 64),
    )
    assert len(ids(found)) == 2


def test_material_that_was_imported_again_expires_again() -> None:
    found = expiries(
        service("DeleteExpiredKeyMaterial", PLAIN, "2026-11-20T00:00:00Z", keyMaterialId=MATERIAL),
        service("DeleteExpiredKeyMaterial", PLAIN, "2027-11-20T00:00:00Z", keyMaterialId=MATERIAL),
    )
    assert len(ids(found)) == 2


def test_expiries_of_unknown_keys_are_not_thrown_together() -> None:
    found = expiries(
        service("DeleteExpiredKeyMaterial", "", "2026-11-20T00:00:00Z", keyMaterialId=MATERIAL),
        service("DeleteExpiredKeyMaterial", "", "2026-11-20T00:00:01Z", keyMaterialId=MATERIAL),
    )
    assert len(ids(found)) == 2
