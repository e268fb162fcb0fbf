"""The zip of the serverless form is built, the same twice, and works with nothing but what is in it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.serverless.__main__ import MOST
from deploy.serverless.local import Container
from deploy.serverless.packing import ROOT
from monitor.simulator.functions import Context
from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, lead_to, until
from tests.journey.functions import NAME, RULE, document, environment
from tests.journey.scene import client
from tests.real.lambda_zip import HERE, WHEELS, python_of_it
from tests.tables import make_table
from tests.unit.test_serverless_zip import NEVER_LOADED

SOURCES = (
    "monitor",
    "deploy/serverless",
    "requirements",
    "config",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import monitor
names = [one.name for one in pkgutil.walk_packages(monitor.__path__, "monitor.")]
for name in names:
    importlib.import_module(name)
print(json.dumps(names))
"""
LOAD_PLUGINS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from monitor.shelf import Shelf
shelf = Shelf()
for kind, sources in shelf.sources.items():
    for name in sources:
        shelf.load(kind, name)
print(json.dumps({kind: sorted(sources) for kind, sources in shelf.sources.items()}))
"""
OPEN_CLIENTS = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
from aiobotocore.session import get_session

async def main():
    session, opened = get_session(), []
    there = session.get_available_services()
    for service in there:
        async with session.create_client(service, "eu-west-1", aws_access_key_id="a",
                                         aws_secret_access_key="b") as client:
            opened.append(client.meta.service_model.service_name)
    print(json.dumps(opened))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def tree(lambda_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(lambda_zip) as archive:
        archive.extractall(folder)
    return folder


def said(code: str, tree: Path, **environment: str) -> str:
    """What a program printed that has the standard library and the zip, and nothing else."""
    _, python = python_of_it()
    result = subprocess.run(
        [str(python), "-I", "-B", "-c", code, str(tree)],
        env={"PATH": os.defpath, **environment},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.mark.real
@pytest.mark.timeout(300)
def test_it_is_the_same_from_another_folder_for_another_user(
    lambda_zip: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another folder"
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, elsewhere / name)
        else:
            shutil.copy(ROOT / name, elsewhere / name)
    version, _ = python_of_it()
    command = [
        *(sys.executable, "-m", "deploy.serverless", "--quick", "--architecture", HERE),
        *("--python", version, "--output", str(tmp_path), "--wheels", str(WHEELS)),
    ]
    another = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "11", "TMPDIR": str(tmp_path)}
    result = subprocess.run(
        command,
        cwd=elsewhere,
        env=os.environ | another,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / lambda_zip.name).read_bytes() == lambda_zip.read_bytes()


@pytest.mark.real
@pytest.mark.timeout(300)
def test_it_is_small_and_holds_what_it_should(lambda_zip: Path) -> None:
    assert lambda_zip.stat().st_size < MOST
    with zipfile.ZipFile(lambda_zip) as archive:
        entries = archive.infolist()
    names = [one.filename for one in entries]
    assert names == sorted(set(names))
    assert {one.date_time for one in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {one.external_attr >> 16 for one in entries} == {0o100644, 0o100755}
    tops = {name.partition("/")[0] for name in names}
    assert not tops & {
        "aiomqtt",
        "paho",
        "aiosqlite",
        "typer",
        "rich",
        "moto",
        "flask",
        "pip",
        "bin",
    }
    assert {one for one in tops if one.endswith("-info")} == {"kms_monitor-0.1.0.dist-info"}
    ours = {name for name in names if name.startswith("monitor/")}
    folders = {name.split("/")[1] for name in ours}
    assert not folders & {"simulator", "demo", "mqtt", "web.py", "cli.py", "app.py"}
    assert "licences/aiohttp/LICENSE.txt" in names
    # Compiled, each, so that a cold start compiles nothing.
    sources = [name for name in names if name.endswith(".py")]
    assert len([name for name in names if name.endswith(".pyc")]) == len(sources)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_each_module_in_it_can_be_imported(tree: Path) -> None:
    names = json.loads(said(IMPORT_EVERYTHING, tree))
    assert {"monitor.aws", "monitor.assembly", "monitor.sources.digests"} <= set(names)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_its_plugins_are_found(tree: Path) -> None:
    found = json.loads(said(LOAD_PLUGINS, tree))
    assert "key_disabled" in found["detectors"]
    assert len(found["detectors"]) > 60
    assert {"restore_key", "sns", "contain"} <= set(found["responders"])
    assert "mqtt" not in found["responders"]


@pytest.mark.real
@pytest.mark.timeout(300)
def test_it_has_the_models_of_the_services_that_it_calls(tree: Path) -> None:
    opened = json.loads(said(OPEN_CLIENTS, tree))
    assert {"kms", "sns", "sts", "dynamodb", "s3"} <= set(opened)
    assert len(opened) < 25


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(seed=1) as simulator:
        lead_to(simulator, monkeypatch)
        async with client(simulator, "dynamodb", "admin") as dynamodb:
            await make_table(dynamodb)
        yield simulator


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_it_repairs_a_key_with_nothing_but_what_is_in_it(
    tree: Path, simulator: Simulator
) -> None:
    """From an empty environment but for what Lambda sets; and what it never needs it never loads."""
    _, python = python_of_it()
    with Container(
        tree, python, "monitor.serverless.handle", environment(document(simulator))
    ) as one:
        # All that is always needed is loaded while Lambda starts, and not by the first call.
        assert {"monitor.serverless.container", "monitor.assembly"} <= one.started.modules
        function = simulator.functions.add(NAME, one.handle, account=ACCOUNT, region=REGION)
        function.permitted.add(("events.amazonaws.com", RULE))
        async with (
            client(simulator, "events", "admin") as events,
            client(simulator, "kms", "mallory") as kms,
        ):
            await events.remove_targets(Rule=NAME, Ids=[NAME])
            await events.put_targets(Rule=NAME, Targets=[{"Id": "function", "Arn": function.arn}])
            key = (await kms.create_key())["KeyMetadata"]["Arn"]
            await kms.schedule_key_deletion(KeyId=key)
            await until(lambda: simulator.kms.state_of(key) == "Enabled", 30)
        await simulator.settle()
        await simulator.functions.settle()
        assert {call.error for call in function.calls} == {""}
        last = await asyncio.to_thread(
            one.call, {"kms-monitor": "nothing"}, Context(function.arn, 30)
        )
    assert "monitor.responders.restore_key" in last.modules
    assert last.modules & (NEVER_LOADED | {"rich"}) == set()
