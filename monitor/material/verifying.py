"""Which material the escrows have, and what proves that it is the right one; nothing is imported.

KMS tells the public half of a private key, and computes with an HMAC key: both prove what an escrow
has. Of a symmetric key it tells nothing that the bytes could be compared with; there only the
fingerprint proves something that was recorded when KMS took the material.
"""

import asyncio
import hmac
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from enum import StrEnum

import msgspec

from monitor.errors import MonitorError, NotWorthRetrying, WorthRetrying
from monitor.escrow import Secret, Wanted
from monitor.key import KeyRef
from monitor.material.desk import Desk
from monitor.material.records import Book
from monitor.reimport.imports import ImportedKey, Imports
from monitor.reimport.wrapping import HMAC_BYTES, misfit, public_half

AT_ONCE = 20
"""DescribeKey calls in flight for one place; its quota is 2,000 a second (aws-facts 3.7)."""


class Verdict(StrEnum):
    RIGHT = "right"
    UNPROVED = "unproved"
    """It could be the key's; nothing proves it."""
    WRONG = "wrong"
    MISSING = "missing"
    """No escrow has any material of the key."""
    FAILED = "failed"
    """An escrow, or KMS, could not be asked."""


class Row(msgspec.Struct, frozen=True):
    """One material of one key in one escrow."""

    key: str
    material_id: str
    state: str
    """The key's."""
    escrow: str
    verdict: Verdict
    how: str
    """What proves it, or why nothing does."""


async def verify(desk: Desk, arns: list[str]) -> AsyncIterator[Row]:
    """Every imported key of the allowed places, or only these. Raises `SettingsError`."""
    book = desk.records.read()
    chosen = [desk.allowed(one) for one in arns]
    places = sorted({(key.account, key.region) for key in chosen} or desk.settings.places)
    for account, region in places:
        place = f"{account} {region}"
        try:
            mine = [key for key in chosen if (key.account, key.region) == (account, region)]
            keys = mine or await desk.imports.keys(account, region)
        except MonitorError as error:  # one account that is broken hides no others
            yield Row(place, "", "", "", Verdict.FAILED, str(error))
            continue
        for key, live in await looked_at(desk.imports, keys):
            if isinstance(live, MonitorError):
                yield Row(key.arn, "", "", "", Verdict.FAILED, str(live))
            elif live.imported:
                async for row in of_one(desk, live, book):
                    yield row
            elif mine:
                how = f"its origin is {live.origin}: nobody imported its material"
                yield Row(key.arn, "", live.state.value, "", Verdict.FAILED, how)


async def looked_at(
    imports: Imports, keys: list[KeyRef]
) -> list[tuple[KeyRef, ImportedKey | MonitorError]]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def look(key: KeyRef) -> tuple[KeyRef, ImportedKey | MonitorError]:
        async with limit:
            try:
                return key, await imports.look(key)
            except MonitorError as error:
                return key, error

    return await asyncio.gather(*(look(key) for key in keys))


async def of_one(desk: Desk, live: ImportedKey, book: Book) -> AsyncIterator[Row]:
    state = live.state.value
    wanted = [Wanted(live.key)]
    if live.symmetric:
        try:
            materials = await desk.imports.materials(live.key)
        except MonitorError as error:
            yield Row(live.key.arn, "", state, "", Verdict.FAILED, str(error))
            return
        wanted = [Wanted(live.key, one.id) for one in materials] or wanted
    for one in wanted:
        problems: dict[str, WorthRetrying | NotWorthRetrying] = {}
        rows: list[Row] = []
        async with aclosing(desk.escrows.having(one, problems)) as having:
            async for name, secret in having:
                verdict, how = await judge(desk.imports, live, one, secret, book)
                rows.append(Row(live.key.arn, one.material_id, state, name, verdict, how))
        for name, problem in problems.items():
            how = str(problem)
            rows.append(Row(live.key.arn, one.material_id, state, name, Verdict.FAILED, how))
        if not rows:
            how = "no escrow has any material of it: if KMS loses it, it cannot be brought back"
            rows = [Row(live.key.arn, one.material_id, state, "", Verdict.MISSING, how)]
        for row in rows:
            yield row


async def judge(
    imports: Imports, live: ImportedKey, wanted: Wanted, secret: Secret, book: Book
) -> tuple[Verdict, str]:
    """Whether it is the right one, and how that is known."""
    if fault := misfit(live.spec, secret):
        return Verdict.WRONG, fault
    known = book.of(live.key.arn, wanted.material_id)
    same = known is not None and known.sha256 == secret.fingerprint()
    if live.symmetric:
        if known is None or not wanted.material_id:
            return Verdict.UNPROVED, (
                "it has the right length; KMS tells nothing of a symmetric key's bytes, and no"
                " fingerprint of an import is recorded here"
            )
        if same:
            return Verdict.RIGHT, "its fingerprint is that of the material that KMS took"
        return Verdict.WRONG, "its fingerprint is not that of the material that KMS took"
    try:
        if live.spec in HMAC_BYTES:
            right = await same_code(imports, live, secret)
            how = (
                "KMS computes another code with its key",
                "KMS computes the same code with its key",
            )
        else:
            answer = await imports.call(live.key, "GetPublicKey", KeyId=live.key.arn)
            right = answer["PublicKey"] == public_half(secret)
            how = "it is not the private half of KMS's key", "it is the private half of KMS's key"
    except (WorthRetrying, NotWorthRetrying) as error:
        if same:
            return Verdict.RIGHT, "its fingerprint is that of the material that KMS took"
        return (
            Verdict.UNPROVED,
            f"it is of the right kind; KMS could not be asked for more: {error}",
        )
    return (Verdict.RIGHT, how[1]) if right else (Verdict.WRONG, how[0])


async def same_code(imports: Imports, live: ImportedKey, secret: Secret) -> bool:
    """Whether KMS's HMAC of something random is the one that this material gives."""
    message = os.urandom(32)
    bits = live.spec.removeprefix("HMAC_")
    answer = await imports.call(
        live.key,
        "GenerateMac",
        KeyId=live.key.arn,
        Message=message,
        MacAlgorithm=f"HMAC_SHA_{bits}",
    )
    ours = hmac.digest(secret.reveal(), message, f"sha{bits}")
    return hmac.compare_digest(answer["Mac"], ours)
