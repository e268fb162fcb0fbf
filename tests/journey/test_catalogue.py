"""Every attack that the simulator can play is noticed, from the record that the simulator writes."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, lead_to
from tests.journey.scene import DAEMON, OUTSIDER, Scene, denied, night

ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def statement(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"} | more


def policy(*more: dict[str, Any]) -> str:
    """A key policy that the account itself rules, with some statements more."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement({"AWS": ROOT}), *more]})


PUBLIC = policy(statement("*"))


async def imported(kms: Any, arn: str, until: float | None = None) -> None:
    """Give a key material of our own."""
    asked = await kms.get_parameters_for_import(
        KeyId=arn, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = serialization.load_der_public_key(asked["PublicKey"])
    assert isinstance(public, rsa.RSAPublicKey)
    digest = hashes.SHA256()
    await kms.import_key_material(
        KeyId=arn,
        ImportToken=asked["ImportToken"],
        EncryptedKeyMaterial=public.encrypt(
            b"m" * 32, padding.OAEP(padding.MGF1(digest), digest, None)
        ),
        **({"ValidTo": until} if until else {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}),
    )


async def test_keys_are_taken_away(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "kms", keys=5) as scene:
        kms = scene.mallory.kms
        one, two, three = scene.key(), scene.key(), scene.key()
        await scene.attack(kms.disable_key(KeyId=one), key_disabled="high")
        await scene.attack(kms.enable_key(KeyId=one), key_enabled="info")
        await asyncio.sleep(1.1)  # CloudTrail has whole seconds
        await scene.attack(kms.disable_key(KeyId=one), key_disabled="high", key_broken_again="high")
        await scene.attack(
            kms.schedule_key_deletion(KeyId=one, PendingWindowInDays=30),
            key_deletion_scheduled="high",
            deletion_after_preparation="critical",
        )
        await scene.attack(
            kms.schedule_key_deletion(KeyId=two, PendingWindowInDays=7),
            key_deletion_scheduled="critical",
        )
        await scene.attack(kms.cancel_key_deletion(KeyId=two), key_deletion_cancelled="info")
        blob = (await kms.encrypt(KeyId=three, Plaintext=b"x"))["CiphertextBlob"]
        await scene.attack(kms.disable_key(KeyId=three), key_disabled="high", many_keys="critical")
        await scene.attack(denied(kms.decrypt(CiphertextBlob=blob)), unusable_key_used="high")
        await asyncio.sleep(1.1)  # the success before must not seem to come after
        simulator.set_knob("deny", ("mallory:kms:DisableKey",))
        arn = scene.key()
        for _ in range(3):
            await scene.attack(denied(kms.disable_key(KeyId=arn)), key_disabled="medium")
        simulator.set_knob("deny", ())
        await scene.attack(
            kms.disable_key(KeyId=arn), key_disabled="high", denied_then_success="high"
        )


async def test_keys_are_changed(simulator: Simulator, tmp_path: Path) -> None:
    grants: list[str] = []
    store = ""

    async def prepare(scene: Scene) -> None:
        nonlocal store
        for retiring in (DAEMON, f"arn:aws:iam::{ACCOUNT}:user/mallory"):
            made = await scene.admin.kms.create_grant(
                KeyId=scene.keys[0],
                GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/payments",
                RetiringPrincipal=retiring,
                Operations=["Decrypt"],
            )
            grants.append(made["GrantId"])
        made = await scene.admin.kms.create_custom_key_store(
            CustomKeyStoreName="store",
            CloudHsmClusterId="cluster-a2b3c4defgh",
            TrustAnchorCertificate="certificate",
            KeyStorePassword="password",
        )
        store = made["CustomKeyStoreId"]
        await scene.admin.kms.connect_custom_key_store(CustomKeyStoreId=store)

    async with night(simulator, tmp_path, "kms", keys=3, prepare=prepare) as scene:
        kms, attack = scene.mallory.kms, scene.attack
        one, two = scene.key(), scene.key()
        await attack(kms.revoke_grant(KeyId=one, GrantId=grants[0]), grant_revoked="high")
        await attack(kms.retire_grant(KeyId=one, GrantId=grants[1]), grant_retired="low")
        await attack(
            kms.create_grant(KeyId=one, GranteePrincipal=OUTSIDER, Operations=["Decrypt"]),
            grant_created="high",
        )
        await attack(kms.create_alias(AliasName="alias/x", TargetKeyId=one), alias_created="low")
        await attack(
            kms.update_alias(AliasName="alias/payments-0", TargetKeyId=two), alias_repointed="high"
        )
        await attack(kms.delete_alias(AliasName="alias/payments-1"), alias_deleted="high")
        await attack(
            kms.untag_resource(KeyId=two, TagKeys=["protected"]), protection_tag_removed="high"
        )
        await attack(
            kms.enable_key_rotation(KeyId=two, RotationPeriodInDays=2560),
            rotation_period_changed="medium",
        )
        await attack(kms.disable_key_rotation(KeyId=two), rotation_disabled="medium")
        await attack(kms.rotate_key_on_demand(KeyId=two), rotated_on_demand="low")
        await attack(
            kms.update_key_description(KeyId=two, Description="x"), key_description_changed="low"
        )
        await attack(
            kms.disconnect_custom_key_store(CustomKeyStoreId=store), custom_key_store_changed="high"
        )
        await attack(
            kms.delete_custom_key_store(CustomKeyStoreId=store), custom_key_store_changed="high"
        )
        wide = (await scene.admin.kms.create_key(MultiRegion=True))["KeyMetadata"]["Arn"]
        await attack(
            kms.replicate_key(KeyId=wide, ReplicaRegion="us-east-1"), key_replicated="high"
        )
        await attack(
            kms.update_primary_region(KeyId=wide, PrimaryRegion="us-east-1"),
            primary_region_changed="high",
        )


async def test_keys_are_opened_and_closed(simulator: Simulator, tmp_path: Path) -> None:
    async with night(simulator, tmp_path, "kms", keys=4) as scene:
        kms, attack = scene.mallory.kms, scene.attack
        arn = scene.key()
        for text, severity in (
            (PUBLIC, "critical"),
            (policy(statement({"AWS": DAEMON}, Effect="Deny")), "critical"),
            (policy(statement({"AWS": OUTSIDER})), "high"),
            (policy(statement({"AWS": DAEMON})), "medium"),
        ):
            await attack(kms.put_key_policy(KeyId=arn, Policy=text), key_policy_changed=severity)
        await attack(
            kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30),
            key_deletion_scheduled="high",
            deletion_after_preparation="critical",
        )
        await attack(kms.create_key(Policy=PUBLIC), key_created="critical")
        await attack(kms.create_key(Origin="EXTERNAL"), key_created="medium")
        empty = (await scene.admin.kms.create_key(Origin="EXTERNAL"))["KeyMetadata"]["Arn"]
        await attack(imported(kms, empty), import_prepared="low", material_imported="low")
        await attack(
            kms.delete_imported_key_material(KeyId=empty), imported_material_deleted="critical"
        )
        await attack(denied(kms.encrypt(KeyId=empty, Plaintext=b"x")), unusable_key_used="high")


async def test_keys_are_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ahead = 0.0

    async def days_pass() -> None:
        nonlocal ahead
        ahead += 31 * 86400
        simulator.tick()

    async with Simulator(seed=1, now=lambda: time.time() + ahead) as simulator:
        lead_to(simulator, monkeypatch)
        async with night(simulator, tmp_path, "kms", keys=1) as scene:
            kms, attack = scene.mallory.kms, scene.attack
            arn = scene.key()
            empty = (await scene.admin.kms.create_key(Origin="EXTERNAL"))["KeyMetadata"]["Arn"]
            soon = time.time() + 3 * 86400
            await attack(imported(kms, empty, soon), material_imported="high")
            await attack(
                kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=30),
                key_deletion_scheduled="high",
            )
            await attack(days_pass(), key_deleted="critical", imported_material_expired="critical")
