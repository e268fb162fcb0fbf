"""One suite for every built-in `monitor.escrow.Escrow`. Replaced: Vault and Secrets Manager."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from monitor.aws import translate
from monitor.escrow import Escrow, Secret, Wanted
from monitor.plugins import installed, load
from monitor.testing import check_escrow, services
from tests.fake_vault import Vault, fake_vault
from tests.samples import KEY

ONE, OTHER, NONE, BAD = (
    Wanted(KEY),
    Wanted(replace(KEY, key_id="other")),
    Wanted(replace(KEY, key_id="none")),
    Wanted(replace(KEY, key_id="bad")),
)
FIRST_OF_TWO, SECOND_OF_TWO = (
    Wanted(replace(KEY, key_id="two"), "1" * 64),
    Wanted(replace(KEY, key_id="two"), "2" * 64),
)
HAS = {
    ONE: bytes(range(32)),
    OTHER: b"\n 0123456789abcdef0123456789abc\n",
    FIRST_OF_TWO: b"first".ljust(32, b"\0"),
    SECOND_OF_TWO: b"second".ljust(32, b"\0"),
}
"""One of them begins and ends with what looks like blanks."""


def name_of(wanted: Wanted) -> str:
    material = f".{wanted.material_id}" if wanted.material_id else ""
    return f"{wanted.key.key_id}{material}"


class FakeAws:
    """Secrets Manager with the errors that AWS gives."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}

    async def client(self, service: str, region: str, entry: str) -> Any:
        assert (service, region, entry) == ("secretsmanager", "eu-west-1", "")
        return self

    @asynccontextmanager
    async def calling(self, service: str, call: str) -> AsyncIterator[None]:
        try:
            yield
        except ClientError as error:
            raise translate(error, f"{service}:{call}")[1] from error

    async def get_secret_value(self, **asked: str) -> dict[str, Any]:
        if asked["SecretId"] not in self.secrets:
            code: Any = {"Code": "ResourceNotFoundException", "Message": "can't find it"}
            raise ClientError({"Error": code}, "GetSecretValue")
        return {"SecretBinary": self.secrets[asked["SecretId"]]}


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    async with fake_vault() as vault:
        yield vault


@pytest.fixture(params=["file", "command", "secretsmanager", "vault 1", "vault 2"])
async def escrow(request: Any, tmp_path: Path, vault: Vault) -> Escrow:
    kind, _, version = request.param.partition(" ")
    aws, options = FakeAws(), dict[str, Any]()
    match kind:
        case "file":
            for wanted, data in HAS.items():
                secret_file(tmp_path / name_of(wanted), data)
            (tmp_path / "bad").mkdir()
            options = {"folder": tmp_path}
        case "command":
            folder = tmp_path / "m"
            folder.mkdir()
            for wanted, data in HAS.items():
                secret_file(folder / name_of(wanted), base64.b64encode(data))
            program = tmp_path / "program"
            program.write_text(
                "#!/bin/sh\n"
                '[ "$1" = bad ] && echo AAECAwQFBgcICQoLDA0ODw== && exit 3\n'
                f'cd {folder} && cat "$1${{2:+.$2}}" || exit 0\n'
            )
            program.chmod(0o700)
            options = {"argv": [str(program), "{key_id}", "{material_id}"]}
        case "secretsmanager":
            aws.secrets = {f"kms/{name_of(one)}": base64.b64encode(HAS[one]) for one in HAS}
            aws.secrets["kms/bad"] = HAS[ONE]
            names = ["kms/{key_id}.{material_id}", "kms/{key_id}"]
            options = {"secret": names, "region": "eu-west-1"}
        case "vault":
            vault.secrets = {
                f"kms/{name_of(one)}": {"material": base64.b64encode(HAS[one]).decode()}
                for one in HAS
            }
            vault.secrets["kms/bad"] = {"other": base64.b64encode(HAS[ONE]).decode()}
            token = secret_file(tmp_path / "token", b"s.good\n")
            options = {
                "address": vault.address,
                "mount": "old" if version == "1" else "secret",
                "version": int(version),
                "path": ["kms/{key_id}.{material_id}", "kms/{key_id}"],
                "token_file": token,
            }
    plugin = load("escrows", kind)
    made: Escrow = plugin(plugin.Options.model_validate(options), services(aws))
    return made


def secret_file(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


async def test_it_is_an_escrow(escrow: Escrow) -> None:
    await check_escrow(escrow, HAS, lacks=NONE, fails=BAD)


async def test_material_of_a_certain_id_is_not_needed_where_there_is_only_one(
    escrow: Escrow,
) -> None:
    """An escrow set up before the key had a second material goes on to serve the first one."""
    if escrow.name == "command":
        pytest.skip("its program decides")
    secret = await escrow.fetch(Wanted(KEY, "9" * 64))
    assert isinstance(secret, Secret)
    assert secret.reveal() == HAS[ONE]


def test_the_suite_has_them_all() -> None:
    ours = {name for name, one in installed("escrows").items() if one.built_in}
    assert ours == {"file", "command", "secretsmanager", "vault"}
