"""The procedure of `kms-monitor material import`: in one go, or step by step around an offline machine."""

import asyncio
import re
from pathlib import Path

import msgspec

from monitor.clock import iso
from monitor.errors import NotWorthRetrying, SettingsError
from monitor.escrow import Encoding, Wanted
from monitor.key import KeyRef, KeyState
from monitor.material.desk import (
    Desk,
    read_file,
    read_material,
    read_parameters,
    write_new,
    write_parameters,
)
from monitor.material.records import Known
from monitor.reimport.expiry import DAY, LONGEST, Expiry
from monitor.reimport.imports import ImportedKey, Parameters
from monitor.reimport.wrapping import misfit, wrap, wrapping_for
from monitor.suppression import end_of as moment

SETTLE_SECONDS = 30.0
"""KMS is eventually consistent: usually within seconds (aws-facts 3.7)."""
DAYS = re.compile(r"(?P<days>[0-9]{1,3})d")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of one import."""

    key: str = ""
    file: Path | None = None
    encoding: Encoding = "raw"
    expires: str = ""
    parameters_out: Path | None = None
    token: Path | None = None
    wrapped: Path | None = None
    wrapped_out: Path | None = None
    new: bool = False

    @property
    def step(self) -> str:
        if self.parameters_out is not None:
            return "parameters"
        return "wrap" if self.wrapped_out is not None else "import"

    def faults(self) -> list[str]:
        """What does not go together."""
        found = []
        given = {name for name in ("file", "token", "wrapped") if getattr(self, name) is not None}
        match self.step:
            case "parameters":
                if given or self.wrapped_out is not None or self.expires or self.new:
                    found.append("--parameters-out: goes with --key and nothing else")
            case "wrap":
                if given != {"file", "token"} or self.expires or self.new:
                    found.append("--wrapped-out: goes with --token and --file, and nothing else")
            case _:
                if "wrapped" in given and given != {"wrapped", "token"}:
                    found.append("--wrapped: goes with --token and without --file")
                if not self.expires:
                    found.append(
                        "--expires: say never, 90d, or a time such as 2027-01-01T00:00:00Z"
                    )
        if not self.key and self.token is None:
            found.append("--key: is needed, or --token, whose file says of which key it is")
        return found


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    step: str
    key: str
    material_id: str = ""
    sha256: str = ""
    """Of the material; "" where it came already wrapped."""
    escrow: str = ""
    expires: str = ""
    state: str = ""
    file: str = ""
    """That was written."""


def expiry_of(text: str, now: float) -> Expiry:
    """Raises `SettingsError`."""
    if text == "never":
        return Expiry()
    match = DAYS.fullmatch(text)
    try:
        until = now + int(match["days"]) * DAY if match else moment(text)
    except ValueError as error:
        fault = "--expires: must be never, 90d, or a time with its zone: 2027-01-01T00:00:00Z"
        raise SettingsError([fault]) from error
    if not now < until <= now + LONGEST + 60:
        raise SettingsError(["--expires: must be later than now, and within 365 days"])
    return Expiry(min(until, now + LONGEST))


def wrap_offline(asked: Asked) -> Result:
    """Wrap what is in a file for a token. Talks to nobody, reads no settings."""
    assert asked.token is not None, "Asked.faults"
    assert asked.file is not None, "Asked.faults"
    assert asked.wrapped_out is not None, "Asked.faults"
    parameters = read_parameters(asked.token)
    same_key(asked, parameters)
    with read_material(asked.file, asked.encoding) as secret:
        if fault := misfit(parameters.key_spec, secret):
            raise NotWorthRetrying(f"{asked.file}: {fault}")
        wrapped = wrap(secret, parameters.public_key, parameters.wrapping_algorithm)
        fingerprint = secret.fingerprint()
    write_new(asked.wrapped_out, wrapped, "--wrapped-out")
    return Result(step="wrap", key=parameters.key, sha256=fingerprint, file=str(asked.wrapped_out))


async def carry_out(asked: Asked, desk: Desk) -> list[Result]:
    """The steps that talk to KMS. Raises `SettingsError` and the errors of `Imports`."""
    if asked.token is not None:
        return [await with_token(asked, desk, read_parameters(asked.token))]
    key = desk.allowed(asked.key)
    live = await desk.imports.look(key)
    if not live.imported:
        raise NotWorthRetrying(f"{key}: its origin is {live.origin}: nothing can be imported")
    if asked.parameters_out is not None:
        parameters = await desk.imports.parameters(live, wrapping_for(live.spec))
        write_parameters(asked.parameters_out, parameters)
        ends = iso(parameters.valid_to.timestamp())
        file = str(asked.parameters_out)
        return [Result(step="parameters", key=key.arn, expires=f"until {ends}", file=file)]
    until = expiry_of(asked.expires, desk.clock.now())
    desk.records.check()
    if asked.file is not None:
        with read_material(asked.file, asked.encoding) as secret:
            fingerprint = secret.fingerprint()
            material = await desk.reimport.put(live, secret, Wanted(key), until, new=asked.new)
        return [await finished(desk, key, until, material, fingerprint)]
    return await from_escrow(asked, desk, live, until)


async def from_escrow(asked: Asked, desk: Desk, live: ImportedKey, until: Expiry) -> list[Result]:
    """Every material that is missing; all of them, with the new expiry, where none is."""
    if asked.new:
        raise SettingsError(["--new: needs --file: no escrow knows which material is new"])
    if not len(desk.escrows):
        raise SettingsError(["--file: is needed, for the settings name no escrow"])
    results = []
    for wanted in await of_key(desk, live):
        brought = await desk.reimport.one(live, wanted, until)
        results.append(
            await finished(
                desk,
                live.key,
                until,
                brought.material_id,
                brought.fingerprint,
                escrow=brought.escrow,
                settle=False,
            )
        )
    state = await settled(desk, live.key)
    return [msgspec.structs.replace(one, state=state) for one in results]


async def of_key(desk: Desk, live: ImportedKey) -> list[Wanted]:
    if live.state is KeyState.PENDING_IMPORT and live.symmetric:
        materials = await desk.imports.materials(live.key)
        if missing := [one.id for one in materials if one.missing and one.permanent]:
            return [Wanted(live.key, one) for one in missing]
    return await desk.reimport.all_of(live)


async def with_token(asked: Asked, desk: Desk, parameters: Parameters) -> Result:
    """Import with a token that was asked for before."""
    same_key(asked, parameters)
    key = desk.allowed(parameters.key)
    now = desk.clock.now()
    until = expiry_of(asked.expires, now)
    desk.records.check()
    if (used := desk.records.read().use_of(parameters.import_token)) is not None:
        fault = f"--token: {asked.token} was used at {iso(used.at)}: a token is good for one import"
        raise SettingsError([f"{fault}; ask for a new one: {ask_anew(key)}"])
    if now >= parameters.valid_to.timestamp():
        ended = iso(parameters.valid_to.timestamp())
        fault = f"--token: {asked.token} ran out at {ended}; ask for a new one: {ask_anew(key)}"
        raise SettingsError([fault])
    fingerprint = ""
    if asked.wrapped is not None:
        wrapped = bytes(read_file(asked.wrapped, "--wrapped"))
    elif asked.file is not None:
        with read_material(asked.file, asked.encoding) as secret:
            if fault := misfit(parameters.key_spec, secret):
                raise NotWorthRetrying(f"{asked.file}: {fault}")
            wrapped = wrap(secret, parameters.public_key, parameters.wrapping_algorithm)
            fingerprint = secret.fingerprint()
    else:
        raise SettingsError(["--token: goes with --file or --wrapped"])
    material = await desk.imports.send(parameters, wrapped, Wanted(key), until, new=asked.new)
    desk.records.use(parameters.import_token, key.arn, desk.clock.now())
    return await finished(desk, key, until, material, fingerprint)


def same_key(asked: Asked, parameters: Parameters) -> None:
    if asked.key not in {"", parameters.key}:
        raise SettingsError([f"--token: {asked.token} is of another key: {parameters.key}"])


def ask_anew(key: KeyRef) -> str:
    return f"kms-monitor material import --key {key} --parameters-out FILE"


async def finished(
    desk: Desk,
    key: KeyRef,
    until: Expiry,
    material_id: str,
    fingerprint: str,
    *,
    escrow: str = "",
    settle: bool = True,
) -> Result:
    """Note what KMS has taken, and see how the key is now."""
    if fingerprint:
        desk.records.note(Known(key.arn, material_id, fingerprint, desk.clock.now()))
    return Result(
        step="import",
        key=key.arn,
        material_id=material_id,
        sha256=fingerprint,
        escrow=escrow,
        expires=str(until),
        state=await settled(desk, key) if settle else "",
    )


async def settled(desk: Desk, key: KeyRef) -> str:
    """The key's state, once it is Enabled or for as long as KMS may be behind."""
    deadline = desk.clock.monotonic() + SETTLE_SECONDS
    while True:
        live = await desk.imports.look(key)
        done = live.state is not KeyState.PENDING_IMPORT or await lacks_another(desk, live)
        if done or desk.clock.monotonic() >= deadline:
            return live.state.value
        await asyncio.sleep(0.5)


async def lacks_another(desk: Desk, live: ImportedKey) -> bool:
    """Whether it waits for another material still, which no time brings."""
    if not live.symmetric:
        return False
    return any(one.missing and one.permanent for one in await desk.imports.materials(live.key))
