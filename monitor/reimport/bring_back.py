"""Brings the lost material of one key back from escrow.

Nothing here decides that a key should be brought back, nor waits until KMS shows it: that is for
whoever repairs the key, who plans anew from the live key after each step.
"""

import asyncio
from collections import defaultdict
from contextlib import aclosing

import msgspec
import structlog

from monitor.aws import Aws
from monitor.clock import Clock
from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Secret, Wanted
from monitor.key import KeyRef, KeySnapshot, KeyState
from monitor.material_metrics import Imported, MaterialMetrics
from monitor.reimport.asking import Escrows
from monitor.reimport.expiry import Expiry, expiry
from monitor.reimport.imports import INVALID_STATE, SPENT, WRONG, ImportedKey, Imports
from monitor.reimport.wrapping import misfit, wrap, wrapping_for
from monitor.settings_material import MaterialSettings

TURN = 4.0
"""Seconds between two GetParametersForImport in one account and Region (aws-facts 3.7)."""
LONGEST_QUEUE = 40.0
"""Seconds, of the 150 that a repair may take. Who would wait longer comes again with its delivery."""


class Turns:
    """Who may ask for import parameters when: else a mass deletion would end in throttling."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.free_at: defaultdict[tuple[str, str], float] = defaultdict(float)

    async def mine(self, key: KeyRef) -> None:
        """Wait for one's turn. Raises `WorthRetrying` where that would take too long."""
        place, now = (key.account, key.region), self.clock.monotonic()
        at = max(now, self.free_at[place])
        if at - now > LONGEST_QUEUE:
            raise WorthRetrying("too many keys wait for import parameters: AWS allows one in 4 s")
        self.free_at[place] = at + TURN
        await asyncio.sleep(at - now)


class Brought(msgspec.Struct, frozen=True):
    """One material that was imported."""

    escrow: str
    material_id: str
    fingerprint: str
    """See `Secret.fingerprint`."""


class Reimport:
    """Brings back what the escrows have. One for the daemon: `Services.reimport`.

    It is the `Material` that `monitor.repair.writing.KeyWriter` takes.
    """

    def __init__(
        self,
        escrows: Escrows,
        settings: MaterialSettings,
        *,
        aws: Aws,
        clock: Clock,
        metrics: MaterialMetrics,
    ) -> None:
        self.escrows = escrows
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.imports = Imports(aws, clock)
        self.turns = Turns(clock)
        self.log = structlog.get_logger("reimport")

    async def bring_back(self, known: KeySnapshot, valid_to: float | None) -> str:
        """Import every material that the key lacks now; what was done, in words.

        valid_to: when the material was to expire, by the key's baseline (`KeySnapshot.valid_to`);
        None: it was not. The key is Enabled afterwards, also one that was Disabled before its
        material was lost; KMS may take a while to show it.

        Raises `Denied`, `NotWorthRetrying` and `WorthRetrying`. A key in a state in which nothing
        can be imported raises `NotWorthRetrying` with the code `KMSInvalidStateException`.
        """
        live = await self.imports.look(known.key)
        if not live.imported:
            raise NotWorthRetrying(f"its material was not imported: its origin is {live.origin}")
        if live.state in {KeyState.ENABLED, KeyState.DISABLED}:
            return f"the key is {live.state}: its material is there"
        if live.state is not KeyState.PENDING_IMPORT:
            fault = f"the key is {live.state}: nothing can be imported into it"
            raise NotWorthRetrying(fault, code=INVALID_STATE)
        until = expiry(valid_to, self.clock.now(), self.settings)
        if until.impossible:
            raise NotWorthRetrying(until.impossible)
        wanted = await self.missing(live)
        brought = [await self.one(live, one, until) for one in wanted]
        count = f"{len(brought)} materials" if len(brought) > 1 else "material"
        used = dict.fromkeys(one.escrow for one in brought)
        return f"imported {count} from {' and '.join(used)}, {until}"

    async def all_of(self, live: ImportedKey) -> list[Wanted]:
        """Every material without which the key is of no use, whether it is missing or not."""
        if not live.symmetric:
            return [Wanted(live.key)]
        materials = await self.imports.materials(live.key)
        return [Wanted(live.key, one.id) for one in materials if one.permanent] or [
            Wanted(live.key)
        ]

    async def missing(self, live: ImportedKey) -> list[Wanted]:
        """The material that the key lacks. For all but symmetric keys there is only one."""
        key = live.key
        if not live.symmetric:
            return [Wanted(key)]
        materials = await self.imports.materials(key)
        if not materials:
            raise NotWorthRetrying(
                "the key never had any material: import it first, with kms-monitor material import"
            )
        found = [Wanted(key, one.id) for one in materials if one.missing and one.permanent]
        if not found:
            raise WorthRetrying("KMS does not say yet which material is missing")
        return found

    async def one(self, live: ImportedKey, wanted: Wanted, until: Expiry) -> Brought:
        """Import one material from the first escrow that has the right one."""
        problems: dict[str, WorthRetrying | NotWorthRetrying] = {}
        async with aclosing(self.escrows.having(wanted, problems)) as having:
            async for name, secret in having:
                outcome, material_id = Imported.FAILED, ""
                try:
                    material_id = await self.put(live, secret, wanted, until)
                    outcome = Imported.DONE
                except Denied:
                    outcome = Imported.DENIED
                    raise
                except NotWorthRetrying as error:
                    if error.code != WRONG:
                        raise
                    outcome = Imported.WRONG
                    problems[name] = error
                finally:
                    self.metrics.imports.labels(name, outcome.value).inc()
                if outcome is Imported.DONE:
                    self.log.info(
                        "key material imported",
                        key=wanted.key.arn,
                        material_id=wanted.material_id,
                        escrow=name,
                        expiry=str(until),
                    )
                    return Brought(name, material_id, secret.fingerprint())
        raise nothing_found(wanted, problems)

    async def put(
        self,
        live: ImportedKey,
        secret: Secret,
        wanted: Wanted,
        until: Expiry,
        *,
        new: bool = False,
    ) -> str:
        """Ask for a token and use it; once more with another one where KMS no longer takes it.

        The material's id, as `Imports.send` gives it.
        """
        wrapping = wrapping_for(live.spec)
        if fault := misfit(live.spec, secret):
            raise NotWorthRetrying(fault, code=WRONG)
        token_failed = False
        while True:
            await self.turns.mine(wanted.key)
            parameters = await self.imports.parameters(live, wrapping)
            wrapped = wrap(secret, parameters.public_key, wrapping.algorithm)
            try:
                return await self.imports.send(parameters, wrapped, wanted, until, new=new)
            except WorthRetrying as error:
                if error.code not in SPENT or token_failed:
                    raise
                token_failed = True


def nothing_found(
    wanted: Wanted, problems: dict[str, WorthRetrying | NotWorthRetrying]
) -> WorthRetrying | NotWorthRetrying:
    """Why no escrow helped: worth another try if one of them may answer later."""
    told = "".join(f"; {name}: {error}" for name, error in problems.items())
    text = (
        f"no escrow has the right {wanted if wanted.material_id else f'material of {wanted}'}{told}"
    )
    if any(isinstance(error, WorthRetrying) for error in problems.values()):
        return WorthRetrying(text)
    if any(isinstance(error, Denied) for error in problems.values()):
        return Denied(text)
    return NotWorthRetrying(text, code=WRONG if problems else "")
