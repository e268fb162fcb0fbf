"""What the commands about material share: KMS, the escrows, and files that nobody else may read."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import structlog

from monitor.assembly import make_aws, make_escrows
from monitor.clock import SystemClock
from monitor.errors import SettingsError
from monitor.escrow import LARGEST, Encoding, Secret, decode
from monitor.key import KeyRef
from monitor.material.records import Records
from monitor.metrics import Metrics
from monitor.plugins import Loaded, Services
from monitor.reimport.asking import Escrows
from monitor.reimport.bring_back import Reimport
from monitor.reimport.imports import Parameters
from monitor.settings import Settings
from monitor.stores.memory import MemoryStore


class Desk:
    """KMS and the escrows of the settings."""

    def __init__(self, settings: Settings, reimport: Reimport) -> None:
        self.settings = settings
        self.reimport = reimport
        self.imports = reimport.imports
        self.escrows = reimport.escrows
        self.clock = reimport.clock
        self.records = Records(settings.material.records)

    def allowed(self, arn: str) -> KeyRef:
        """The key of that ARN. Raises `SettingsError` where it is in no place of the settings."""
        key = KeyRef.parse(arn)
        if key is None:
            fault = f"--key: {arn} is no key's ARN, such as arn:aws:kms:REGION:ACCOUNT:key/ID"
            raise SettingsError([fault])
        if (key.account, key.region) not in self.settings.places:
            raise SettingsError([f"--key: {key} is in no account and Region of the settings"])
        return key


@asynccontextmanager
async def opened(settings: Settings, loaded: Loaded) -> AsyncIterator[Desk]:
    """A desk. Raises `SettingsError` where an escrow of others is broken."""
    clock, metrics = SystemClock(), Metrics()
    async with make_aws(settings, metrics) as aws:
        services = Services(
            aws=aws,
            clock=clock,
            store=MemoryStore(clock),
            metrics=metrics,
            log=structlog.get_logger("material"),
            environment=settings.environment,
        )
        broken = [one for one in loaded.broken if one.kind == "escrow"]
        escrows = make_escrows(loaded, services, broken)
        if broken:
            raise SettingsError([str(one) for one in broken])
        asking = Escrows(escrows, metrics.material)
        yield Desk(
            settings,
            Reimport(asking, settings.material, aws=aws, clock=clock, metrics=metrics.material),
        )


# -- files; all of these raise `SettingsError`


def write_new(path: Path, data: bytes, option: str) -> None:
    """A file of mode 0600 that was not there before; whole, or not at all."""
    try:
        # O_EXCL follows no symbolic link either.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise SettingsError(
            [f"{option}: there is a {path} already; nothing was written"]
        ) from error
    except OSError as error:
        raise SettingsError([f"{option}: {path} cannot be written: {error.strerror}"]) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SettingsError([f"{option}: {path} cannot be written: {error.strerror}"]) from error


def read_file(path: Path, option: str) -> bytearray:
    data = bytearray(LARGEST + 1)
    try:
        with path.open("rb", buffering=0) as file:
            length = file.readinto(data)
    except OSError as error:
        raise SettingsError([f"{option}: {path} cannot be read: {error.strerror}"]) from error
    del data[length or 0 :]
    return data


def read_material(path: Path, encoding: Encoding) -> Secret:
    """Raises `NotWorthRetrying`, too, where it is not written as `encoding` says."""
    return decode(read_file(path, "--file"), encoding, str(path))


def write_parameters(path: Path, parameters: Parameters) -> None:
    text = msgspec.json.format(msgspec.json.encode(parameters), indent=2)
    write_new(path, text + b"\n", "--parameters-out")


def read_parameters(path: Path) -> Parameters:
    try:
        return msgspec.json.decode(read_file(path, "--token"), type=Parameters)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = f"--token: {path} is not what --parameters-out wrote: {error}"
        raise SettingsError([fault]) from error
