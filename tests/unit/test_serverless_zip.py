"""What is in the zip of the serverless form; tests/real/test_lambda_zip.py builds it."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from botocore.loaders import Loader

from deploy.serverless.contents import (
    entry_points,
    first_arguments,
    headers,
    newest_models,
    ours,
    place,
    services,
)

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CALLED = services(
    one
    for one in sorted((ROOT / "monitor").rglob("*.py"))
    if ours(one.relative_to(ROOT).as_posix())
)
NEVER_LOADED = {
    "aiomqtt",
    "aiosqlite",
    "amqtt",
    "cryptography",
    "flask",
    "moto",
    "paho",
    "sqlite3",
    "typer",
    "monitor.app",
    "monitor.cli",
    "monitor.demo",
    "monitor.mqtt",
    "monitor.simulator",
    "monitor.web",
    "aiohttp.web",
}
"""What a start with ordinary settings does not pay for. rich is not here: structlog takes it where it is."""


def test_its_requirements_are_those_of_the_daemon_without_four() -> None:
    group = set(PROJECT["dependency-groups"]["serverless"])
    every = set(PROJECT["project"]["dependencies"])
    assert {one.partition(">")[0] for one in every - group} == {
        "aiomqtt",
        "aiosqlite",
        "rich",
        "typer",
    }
    assert group < every


def pinned(name: str) -> set[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8").splitlines()
    return {line.split(" ")[0] for line in lines if "==" in line and not line.startswith(" ")}


def test_it_has_the_same_versions_as_the_daemon() -> None:
    """If not: make lock."""
    assert pinned("serverless") < pinned("run")


@pytest.mark.parametrize(
    "path",
    [
        "monitor/simulator/server.py",
        "monitor/demo/story.py",
        "monitor/mqtt/connection.py",
        "monitor/responders/mqtt.py",
        "monitor/web.py",
        "monitor/cli.py",
        "monitor/replay/command.py",
        "monitor/demo/config/demo.yaml",
        "kms_monitor-0.1.0.dist-info/RECORD",
    ],
)
def test_what_only_the_daemon_and_people_need_is_left_out(path: str) -> None:
    assert not ours(path)


@pytest.mark.parametrize(
    "path",
    [
        "monitor/aws.py",
        "monitor/detectors/key_disabled.py",
        "monitor/responders/restore_key.py",
        "monitor/stores/dynamodb.py",
        "kms_monitor-0.1.0.dist-info/entry_points.txt",
        "kms_monitor-0.1.0.dist-info/METADATA",
    ],
)
def test_what_works_is_in_it(path: str) -> None:
    assert ours(path)


def test_of_packages_only_what_runs_is_in_it() -> None:
    kms = frozenset({"kms"})
    model = "botocore/data/kms/2014-11-01/service-2.json.gz"
    kept = ["aiohttp/client.py", model, "botocore/data/partitions.json", "yaml/_yaml.so"]
    assert [place(one, kms) for one in kept] == kept
    gone = (
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "aiohttp/web_app.py",
        "aiohttp/_http_parser.pyx",
        "multidict/__pycache__/__init__.cpython-313.pyc",
        "six-1.17.0.dist-info/METADATA",
        "bin/jp.py",
    )
    assert [place(one, kms) for one in gone] == [None] * len(gone)
    licence = place("six-1.17.0.dist-info/LICENSE", kms)
    assert licence == "licences/six/LICENSE"


def test_only_the_newest_model_of_a_service_is_in_it() -> None:
    models = [
        f"botocore/data/dynamodb/{one}/service-2.json.gz" for one in ("2011-12-05", "2012-08-10")
    ]
    others = ["botocore/data/endpoints.json", "botocore/client.py"]
    assert list(newest_models(models + others)) == models[1:] + others


def test_nobody_is_offered_what_is_not_there() -> None:
    text = (
        "[console_scripts]\nkms-monitor = monitor.cli:main\n\n[kms_monitor.responders]\n"
        "mqtt = monitor.responders.mqtt:Mqtt\nsns = monitor.responders.sns:Sns\n"
    )
    made = entry_points(text)
    assert "[kms_monitor.responders]\nsns = " in made
    assert "mqtt" not in made
    assert "monitor.cli" not in made


def test_of_our_own_description_only_the_headers_are_in_it() -> None:
    text = "Metadata-Version: 2.4\nName: kms-monitor\nVersion: 0.1.0\n\n# kms-monitor\n\nA daemon\n"
    assert headers(text) == "Metadata-Version: 2.4\nName: kms-monitor\nVersion: 0.1.0\n"


def test_the_services_are_those_that_the_code_calls() -> None:
    assert set(Loader().list_available_services("service-2")) >= CALLED
    assert {"kms", "dynamodb", "sns", "sts", "s3", "cloudtrail", "events", "sesv2"} <= CALLED
    # Of the function alone: where its settings are, and whom it judges for.
    assert {"ssm", "appconfigdata", "config"} <= CALLED
    assert "ec2" not in CALLED


def test_no_module_calls_a_service_whose_name_cannot_be_found() -> None:
    """A name in a variable would be missing from the zip: put it into a table called SERVICES."""
    found = {
        ast.unparse(one)
        for source in sorted((ROOT / "monitor").rglob("*.py"))
        if ours(source.relative_to(ROOT).as_posix())
        for one in first_arguments(ast.parse(source.read_text("utf-8")))
        if not isinstance(one, ast.Constant)
    }
    # The second is no service: a method that takes it from the table.
    assert found == {"SERVICES[resource.kind]", "resource"}


@pytest.mark.parametrize(
    "module", ["monitor.assembly", "monitor.opening", "monitor.serverless.entry"]
)
def test_a_start_loads_nothing_that_no_setting_asks_for(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(said.stdout.split())
    assert module in loaded
    assert loaded & NEVER_LOADED == set()
