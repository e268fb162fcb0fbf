"""Lost key material comes back from escrow: against the simulator, which really unwraps what it gets.

In scope: `monitor.reimport` with the escrows, as the daemon's repair calls it.
"""

import base64
import json
import logging
import os
import time
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiobotocore.session import get_session
from structlog.testing import capture_logs

from monitor import logs
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Wanted
from monitor.key import KeySnapshot, KeyState
from monitor.loops.escrow_watch import EscrowWatch
from monitor.material.desk import Desk, read_material
from monitor.pipeline import Pipeline
from monitor.register import EXPIRY, STATE
from monitor.reimport.expiry import Expiry
from monitor.reimport.wrapping import OAEP, new_material, wrap, wrapping_for
from monitor.repair.live import LiveKeys
from monitor.repair.plan import Limits
from monitor.repair.work import Work
from monitor.repair.writing import KeyWriter
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, until
from tests.journey.material import Site, key_id, ref

PRIVATE = ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_P521")


@pytest.fixture
def site(simulator: Simulator, people: Callable[[str], Person], tmp_path: Path) -> Site:
    return Site(simulator, tmp_path, people("admin").kms)


async def bring_back(desk: Desk, arn: str, valid_to: float | None = None) -> str:
    live = KeySnapshot(ref(arn), KeyState.PENDING_IMPORT, 0.0)
    return await desk.reimport.bring_back(live, valid_to)


def imports_of(site: Site) -> int:
    return sum(one["eventName"] == "ImportKeyMaterial" for one in site.simulator.records)


async def test_deleted_material_comes_back_and_old_data_can_be_read(site: Site) -> None:
    arn = await site.imported()
    blob = (await site.admin.encrypt(KeyId=arn, Plaintext=b"payroll"))["CiphertextBlob"]
    await site.admin.delete_imported_key_material(KeyId=arn)
    assert await site.state(arn) == "PendingImport"
    async with site.desk() as desk:
        text = await bring_back(desk, arn)
        assert text == "imported material from file, without expiry"
        assert await site.state(arn) == "Enabled"
        assert (await site.admin.decrypt(CiphertextBlob=blob))["Plaintext"] == b"payroll"
        before = imports_of(site)
        assert "its material is there" in await bring_back(desk, arn)
        assert imports_of(site) == before


async def test_the_repair_plan_is_carried_out_with_it(site: Site) -> None:
    """A key that is pending deletion without its material: cancelled, imported, read back."""
    arn = await site.imported()
    until = round(time.time()) + 86400 * 20
    await site.admin.delete_imported_key_material(KeyId=arn)
    await site.admin.schedule_key_deletion(KeyId=arn)
    async with site.desk() as desk:
        aws, clock = desk.imports.aws, desk.clock
        keys = LiveKeys(aws, clock)
        work = Work(
            keys,
            KeyWriter(aws, desk.reimport),
            clock,
            wanted={STATE: "Enabled", EXPIRY: until},
            limits=Limits(escrow=True),
            settle_seconds=5,
        )
        live, left = await work.carry_out(await keys.read(ref(arn)))
    assert left.nothing_to_do
    assert (live.state, live.valid_to) == (KeyState.ENABLED, until)
    assert [one for one in work.sent if one != "EnableKey"] == [
        "CancelKeyDeletion",
        "ImportKeyMaterial",
    ]


@pytest.mark.parametrize("spec", ["HMAC_256", *PRIVATE])
async def test_material_of_other_kinds_comes_back(site: Site, spec: str) -> None:
    arn = await site.imported(spec)
    await site.admin.delete_imported_key_material(KeyId=arn)
    async with site.desk() as desk:
        await bring_back(desk, arn)
    assert await site.state(arn) == "Enabled"


async def test_the_expiry_of_before_comes_back_too(site: Site) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    until = round(time.time()) + 86400 * 20
    async with site.desk() as desk:
        await bring_back(desk, arn, valid_to=until)
    found = (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]
    assert found["ValidTo"].timestamp() == until


@pytest.mark.parametrize(
    ("material", "days"),
    [
        ({"expired": "leave"}, None),
        ({"expired": "renew", "renew_days": 7}, 7),
        ({"expired": "without_expiry"}, 0),
    ],
)
async def test_an_expiry_that_is_past_is_no_longer_given_silently(
    site: Site, material: dict[str, Any], days: int | None
) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    site.configure(material=material | {"records": str(site.path / "records.json")})
    past = time.time() - 3600
    async with site.desk() as desk:
        if days is None:
            with pytest.raises(NotWorthRetrying, match=r"was to expire at .*material\.expired"):
                await bring_back(desk, arn, valid_to=past)
            assert await site.state(arn) == "PendingImport"
            return
        await bring_back(desk, arn, valid_to=past)
    found = (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]
    assert found["KeyState"] == "Enabled"
    if not days:
        assert "ValidTo" not in found
    else:
        expected = datetime.now(UTC) + timedelta(days=days)
        assert abs(found["ValidTo"] - expected) < timedelta(minutes=2)


async def test_the_first_escrow_with_the_right_material_is_used(site: Site) -> None:
    arn = await site.imported()
    right = (site.folder / key_id(arn)).read_bytes()
    site.put(key_id(arn), os.urandom(32))
    printer = site.path / "printer"
    printer.write_text(f"#!/bin/sh\nprintf {right.hex()}\n")
    printer.chmod(0o700)
    command = {"argv": [str(printer), "{key_id}"], "encoding": "hex"}
    site.configure(escrows={"file": {"folder": str(site.folder)}, "command": command})
    await site.admin.delete_imported_key_material(KeyId=arn)
    async with site.desk() as desk:
        assert await bring_back(desk, arn) == "imported material from command, without expiry"
        counted = metrics_of(desk)
    assert counted["file", "wrong"] == 1
    assert counted["command", "imported"] == 1


def metrics_of(desk: Desk) -> dict[tuple[str, str], float]:
    return {
        (one.labels["escrow"], one.labels["outcome"]): one.value
        for family in desk.reimport.metrics.imports.collect()
        for one in family.samples
        if one.name.endswith("_total")
    }


async def test_wrong_material_and_none_are_told_apart(site: Site) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    async with site.desk() as desk:
        site.put(key_id(arn), os.urandom(32))
        with pytest.raises(NotWorthRetrying, match="not the material that the key had before"):
            await bring_back(desk, arn)
        asked = sum(one["eventName"] == "GetParametersForImport" for one in site.simulator.records)
        site.put(key_id(arn), os.urandom(31))
        with pytest.raises(NotWorthRetrying, match="must be 32 bytes; this is 31 bytes"):
            await bring_back(desk, arn)
        (site.folder / key_id(arn)).unlink()
        with pytest.raises(NotWorthRetrying, match=f"no escrow has the right material .*{arn}"):
            await bring_back(desk, arn)
    # What cannot fit costs no call of the one in 4 seconds.
    assert asked == sum(
        one["eventName"] == "GetParametersForImport" for one in site.simulator.records
    )
    assert await site.state(arn) == "PendingImport"


async def test_a_key_with_two_materials_needs_each_of_them(site: Site) -> None:
    arn = await site.imported()
    first = (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]["CurrentKeyMaterialId"]
    second = site.put("second", os.urandom(32))
    words = ("import", "--key", arn, "--file", str(second), "--expires", "never", "--new", "--json")
    code, out, err = await site.run(*words)
    assert (code, err) == (0, "")
    material_id = json.loads(out)["material_id"]
    assert material_id != first
    await site.admin.rotate_key_on_demand(KeyId=arn)

    async def rotated() -> bool:
        found = (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]
        return bool(found["CurrentKeyMaterialId"] == material_id)

    await until(rotated)
    await site.admin.delete_imported_key_material(KeyId=arn, KeyMaterialId=first)
    await site.admin.delete_imported_key_material(KeyId=arn, KeyMaterialId=material_id)
    async with site.desk() as desk:
        with pytest.raises(NotWorthRetrying, match=f"material {material_id[:12]} of"):
            await bring_back(desk, arn)
        second.rename(site.folder / f"{key_id(arn)}.{material_id}")
        assert await bring_back(desk, arn) == "imported material from file, without expiry"
    assert await site.state(arn) == "Enabled"


async def test_a_key_that_is_pending_deletion_is_not_touched(site: Site) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    await site.admin.schedule_key_deletion(KeyId=arn)
    before = imports_of(site)
    async with site.desk() as desk:
        with pytest.raises(NotWorthRetrying, match="PendingDeletion") as caught:
            await bring_back(desk, arn)
    assert caught.value.code == "KMSInvalidStateException"
    assert imports_of(site) == before


async def test_what_was_never_imported_is_nothing_to_bring_back(
    site: Site, people: Callable[[str], Person]
) -> None:
    async with site.desk() as desk:
        arn = await site.key()
        site.put(key_id(arn), os.urandom(32))
        with pytest.raises(NotWorthRetrying, match="never had any material"):
            await bring_back(desk, arn)
        ordinary = await people("admin").create_key()
        with pytest.raises(NotWorthRetrying, match="its origin is AWS_KMS"):
            await bring_back(desk, ordinary)


async def test_a_right_that_is_lacking_is_named(site: Site) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    site.simulator.set_knob("deny", ("kms-monitor:kms:ImportKeyMaterial",))
    async with site.desk() as desk:
        with pytest.raises(NotWorthRetrying, match="ImportKeyMaterial: AccessDenied"):
            await bring_back(desk, arn)
        assert metrics_of(desk)["file", "denied"] == 1


async def test_a_token_that_kms_no_longer_takes_is_replaced_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    async with site.desk() as desk:
        real = desk.imports.parameters
        live, wrapping = await desk.imports.look(ref(arn)), wrapping_for("SYMMETRIC_DEFAULT")
        stale = await real(live, wrapping)
        wrapped = wrap(read_material(site.folder / key_id(arn), "raw"), stale.public_key, OAEP)
        await desk.imports.send(stale, wrapped, Wanted(live.key), Expiry())
        await site.admin.delete_imported_key_material(KeyId=arn)
        given = [stale]

        async def parameters(*words: Any) -> Any:
            return given.pop() if given else await real(*words)

        monkeypatch.setattr(desk.imports, "parameters", parameters)
        await bring_back(desk, arn)
        assert await site.state(arn) == "Enabled"
        await site.admin.delete_imported_key_material(KeyId=arn)

        async def always_stale(*_: Any) -> Any:
            return stale

        monkeypatch.setattr(desk.imports, "parameters", always_stale)
        with pytest.raises(WorthRetrying, match="the import token was used already"):
            await bring_back(desk, arn)


# -- Secrets Manager, which only the simulator's AWS can play


async def secrets_client(site: Site, stack: AsyncExitStack) -> Any:
    context = get_session().create_client(
        "secretsmanager",
        region_name=REGION,
        endpoint_url=site.simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    )
    return await stack.enter_async_context(context)


@pytest.mark.parametrize("binary", [True, False])
async def test_material_comes_from_secrets_manager(site: Site, binary: bool) -> None:
    arn = await site.imported()
    right = (site.folder / key_id(arn)).read_bytes()
    site.configure(
        escrows={
            "secretsmanager": {
                "secret": ["kms/{key_id}/{material_id}", "kms/{key_id}"],
                "region": REGION,
                "encoding": "raw" if binary else "base64",
            }
        }
    )
    await site.admin.delete_imported_key_material(KeyId=arn)
    async with AsyncExitStack() as stack, site.desk() as desk:
        with pytest.raises(NotWorthRetrying, match="no escrow has"):
            await bring_back(desk, arn)
        secrets = await secrets_client(site, stack)
        text = base64.b64encode(right).decode()
        value = {"SecretBinary": right} if binary else {"SecretString": text}
        await secrets.create_secret(Name=f"kms/{key_id(arn)}", **value)
        assert await bring_back(desk, arn) == (
            "imported material from secretsmanager, without expiry"
        )
        assert text not in str(site.simulator.records)
        if binary:
            await secrets.put_secret_value(SecretId=f"kms/{key_id(arn)}", SecretString=text)
            await site.admin.delete_imported_key_material(KeyId=arn)
            with pytest.raises(NotWorthRetrying, match="encoding raw is for binary secrets"):
                await bring_back(desk, arn)


async def test_secrets_manager_that_says_no(site: Site) -> None:
    arn = await site.imported()
    role = "arn:aws:iam::444455556666:role/escrow"
    options = {"secret": "kms/{key_id}", "region": REGION, "role_arn": role}
    site.configure(escrows={"secretsmanager": options | {"external_id": "kms-guard-1"}})
    await site.admin.delete_imported_key_material(KeyId=arn)
    site.simulator.set_knob("deny", ("role/escrow:secretsmanager:*",))
    async with site.desk() as desk:
        with pytest.raises(Denied, match="role/escrow"):
            await bring_back(desk, arn)
        assert desk.reimport.metrics.failing.labels("secretsmanager")._value.get() == 1
    assumed = [one for one in site.simulator.records if one["eventName"] == "AssumeRole"]
    assert {one["requestParameters"]["externalId"] for one in assumed} == {"kms-guard-1"}


async def test_nothing_that_is_logged_or_said_holds_any_material(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong with it, at the level at which everything is logged."""
    arn = await site.imported()
    right = (site.folder / key_id(arn)).read_bytes()
    await site.admin.delete_imported_key_material(KeyId=arn)
    root = logging.getLogger()
    before = root.handlers, root.level
    logs.set_up("debug", "json")
    root.handlers = [caplog.handler]
    written = [right, right[:31], base64.b64encode(right), right.hex().encode() + b"zz"]
    said: list[str] = []
    for encoding in ("raw", "base64", "hex"):
        site.configure(escrows={"file": {"folder": str(site.folder), "encoding": encoding}})
        async with site.desk() as desk:
            desk.reimport.turns.free_at.clear()
            for data in written:
                site.put(key_id(arn), data)
                try:
                    said.append(await bring_back(desk, arn))
                except (NotWorthRetrying, WorthRetrying) as error:
                    said += traceback.format_exception(error)
                else:
                    await site.admin.delete_imported_key_material(KeyId=arn)
                desk.reimport.turns.free_at.clear()
    root.handlers, root.level = before
    structlog.reset_defaults()
    everything = "\n".join([*said, *map(str, (one.__dict__ for one in caplog.records))])
    assert len([one for one in said if one.startswith("imported")]) == 2
    assert "key material imported" in everything
    for form in (
        right.hex(),
        base64.b64encode(right).decode(),
        repr(right)[2:-1],
        str(list(right)),
    ):
        for start in range(0, len(form) - 12, 6):
            assert form[start : start + 12] not in everything


async def test_the_daemon_tells_of_keys_that_it_could_not_bring_back(site: Site) -> None:
    arn = await site.imported()
    lost = await site.imported("HMAC_256")
    misfit = await site.imported("ECC_NIST_P256")
    (site.folder / key_id(lost)).unlink()
    site.put(key_id(misfit), os.urandom(32))

    async def look() -> tuple[float, list[Any]]:
        with capture_logs() as lines:
            await watch.check()
        told = [line for line in lines if line["event"] == "no escrow for key material"]
        gauge = metrics.material.without_escrow.labels(ACCOUNT, REGION)
        return gauge._value.get(), told

    async with daemon(site.settings) as app:
        metrics, journey = app.metrics, app.consumers[0].journey
        assert isinstance(journey, Pipeline)
        knowledge = journey.detection.knowledge
        await until(lambda: len(knowledge.keys) == 3)
        async with site.desk() as desk:
            desk.reimport.metrics = desk.reimport.escrows.metrics = metrics.material
            watch = EscrowWatch(desk.reimport, knowledge, seconds=9)
            count, told = await look()
            assert count == 2
            assert {line["key"] for line in told} == {lost, misfit}
            # Material that the escrow may not give is none.
            (site.folder / key_id(arn)).chmod(0o644)
            assert (await look())[0] == 3
            (site.folder / key_id(arn)).chmod(0o600)
            for spec, one in (("HMAC_256", lost), ("ECC_NIST_P256", misfit)):
                with new_material(spec) as secret:
                    site.put(key_id(one), secret.reveal())
            assert await look() == (0, [])


async def test_the_daemon_brings_deleted_material_back(
    site: Site, people: Callable[[str], Person]
) -> None:
    """Also while its deletion is pending."""
    arn = await site.imported()
    other = await site.imported()
    blob = (await site.admin.encrypt(KeyId=arn, Plaintext=b"payroll"))["CiphertextBlob"]
    mallory = people("mallory").kms
    async with daemon(site.settings):
        await mallory.delete_imported_key_material(KeyId=arn)
        await mallory.delete_imported_key_material(KeyId=other)
        await mallory.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)

        async def right() -> bool:
            return [await site.state(one) for one in (arn, other)] == ["Enabled", "Enabled"]

        await until(right, 30)
    assert (await site.admin.decrypt(CiphertextBlob=blob))["Plaintext"] == b"payroll"
