"""A site with an escrow in a folder, and `kms-monitor material` as people run it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from monitor.assembly import load
from monitor.key import KeyRef
from monitor.material.desk import opened
from monitor.reimport.wrapping import new_material
from monitor.simulator.server import Simulator
from tests.journey.conftest import settings_for

Call = tuple[int, str, str]


class Site:
    """A settings file with a folder of material, and the command."""

    def __init__(self, simulator: Simulator, tmp_path: Path, admin: Any) -> None:
        self.simulator = simulator
        self.path = tmp_path
        self.admin = admin
        self.folder = tmp_path / "material"
        self.folder.mkdir(mode=0o700)
        self.configure()

    def configure(self, **changes: Any) -> None:
        given: dict[str, Any] = {
            "escrows": {"file": {"folder": str(self.folder)}},
            "material": {"records": str(self.path / "records.json")},
        }
        self.settings = settings_for(self.simulator, self.path, **(given | changes))
        document = self.settings.model_dump(mode="json", exclude_none=True)
        (self.path / "settings.yaml").write_text(yaml.safe_dump(document))

    def desk(self) -> Any:
        return opened(self.settings, load(self.settings, self.path / "settings.yaml"))

    def put(self, name: str, data: bytes) -> Path:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_bytes(data)
        return file

    async def key(self, spec: str = "SYMMETRIC_DEFAULT", **more: Any) -> str:
        usage = "GENERATE_VERIFY_MAC" if spec.startswith("HMAC") else "SIGN_VERIFY"
        given = {"KeyUsage": usage} if spec != "SYMMETRIC_DEFAULT" else {}
        answer = await self.admin.create_key(Origin="EXTERNAL", KeySpec=spec, **given, **more)
        return str(answer["KeyMetadata"]["Arn"])

    async def state(self, arn: str) -> str:
        return str((await self.admin.describe_key(KeyId=arn))["KeyMetadata"]["KeyState"])

    async def run(self, *words: str, **environment: str) -> Call:
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "material", *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KMS_MONITOR_CONFIG": str(self.path / "settings.yaml"), **environment},
        )  # fmt: skip
        out, err = await asyncio.wait_for(running.communicate(), 45)
        assert running.returncode is not None
        return running.returncode, out.decode(), err.decode()

    async def imported(self, spec: str = "SYMMETRIC_DEFAULT", name: str = "{key_id}") -> str:
        """A key with imported material, of which the escrow has a copy."""
        arn = await self.key(spec)
        with new_material(spec) as secret:
            self.put(name.format(key_id=key_id(arn)), secret.reveal())
        code, _, err = await self.run("import", "--key", arn, "--expires", "never")
        assert (code, err) == (0, "")
        return arn


def key_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def ref(arn: str) -> KeyRef:
    key = KeyRef.parse(arn)
    assert key is not None
    return key
