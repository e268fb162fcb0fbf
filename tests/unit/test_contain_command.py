"""`kms-monitor contain`: what it asks for, and how it ends. AWS: `tests/journey/test_contain.py`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitor import contained
from monitor.cli import app
from monitor.clock import SystemClock
from monitor.contained import Contained
from monitor.errors import Denied
from monitor.guarded import Guarded
from monitor.stores.sqlite import SqliteStore
from tests.samples import ACCOUNT, OTHER_ACCOUNT, REGION

ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/deployer"
USER = f"arn:aws:iam::{ACCOUNT}:user/bob\x1b[2J"
SETTINGS = f"""
mode: observe
accounts:
  - {{id: "{ACCOUNT}", regions: [{REGION}]}}
  - {{id: "{OTHER_ACCOUNT}", regions: [{REGION}]}}
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q", region: {REGION}}}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS + f"store: {{path: {tmp_path / 'state.db'}}}\n")
    return file


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """Who is contained in the first account; the second one does not let us look."""
    those: dict[str, tuple[str, ...]] = {ROLE: ("kms-monitor-contain-1",)}

    async def contained_in(_: object, account: str, __: str) -> list[Contained]:
        if account != ACCOUNT:
            raise Denied("iam:GetAccountAuthorizationDetails: AccessDenied")
        return [Contained(*one) for one in those.items()]

    async def release(_: object, arn: str, __: str) -> Contained:
        return Contained(arn, those.pop(arn, ()))

    monkeypatch.setattr(contained, "contained_in", contained_in)
    monkeypatch.setattr(contained, "release", release)
    return those


def run(config: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["contain", *words, "--config", str(config)])


def test_one_account_that_cannot_be_asked_hides_no_other(
    config: Path, there: dict[str, tuple[str, ...]]
) -> None:
    answer = run(config, "list")
    assert answer.stdout == f"{ROLE} contained: kms-monitor-contain-1\n"
    assert f"account {OTHER_ACCOUNT}: iam:GetAccountAuthorizationDetails" in answer.stderr
    assert answer.exit_code == 1
    there[USER] = ("kms-monitor-contain-2",)
    assert "\x1b" not in run(config, "list").stdout
    lines = run(config, "list", "--json").stdout.splitlines()
    assert [json.loads(line)["arn"] for line in lines] == [ROLE, USER]


def test_members_of_an_organization_are_looked_at_and_released_too(
    tmp_path: Path, there: dict[str, tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refresh(members: Guarded) -> None:
        members.accounts[ACCOUNT] = members.settings.organizations[0].account(ACCOUNT)

    monkeypatch.setattr(Guarded, "refresh", refresh)
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"""
mode: observe
organizations:
  - path: o-exampleorg/r-ab12/ou-ab12-11111111/
    regions: [{REGION}]
    role_name: kms-monitor
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{OTHER_ACCOUNT}/q", region: {REGION}}}]
store: {{path: {tmp_path / "state.db"}}}
"""
    )
    assert run(file, "list").stdout == f"{ROLE} contained: kms-monitor-contain-1\n"
    assert (run(file, "release", ROLE).exit_code, there) == (0, {})


def test_named_ones_are_released(config: Path, there: dict[str, tuple[str, ...]]) -> None:
    answer = run(config, "release", ROLE)
    assert (answer.exit_code, there) == (0, {})
    assert answer.stdout == f"{ROLE} released: kms-monitor-contain-1\n"
    again = run(config, "release", ROLE)
    assert again.exit_code == 1
    assert "is not contained" in again.stderr


def test_everybody_is_released(config: Path, there: dict[str, tuple[str, ...]]) -> None:
    answer = run(config, "release", "--all")
    assert not there
    assert answer.exit_code == 1, "one account could not be asked"


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["release"], 2),
        (["release", ROLE, "--all"], 2),
        (["release", "deployer"], 1),
        (["release", "arn:aws:iam::999988887777:role/x"], 1),
        (["release", f"arn:aws:iam::{ACCOUNT}:root"], 1),
    ],
)
def test_what_it_refuses(config: Path, words: list[str], code: int) -> None:
    answer = run(config, *words)
    assert answer.exit_code == code
    assert answer.stderr.startswith("kms-monitor: ")


def test_wrong_settings(config: Path) -> None:
    config.write_text("mode: neither\n")
    assert run(config, "list").exit_code == 2


def test_a_release_is_in_the_action_log_where_there_is_one(
    config: Path, there: dict[str, tuple[str, ...]]
) -> None:
    answer = run(config, "release", ROLE)
    assert answer.exit_code == 0
    assert "not in the action log: store.path: there is no" in answer.stderr
    there[ROLE] = ("kms-monitor-contain-2",)
    file = config.with_name("state.db")

    async def make() -> None:
        await (await SqliteStore.open(file, SystemClock())).close()

    asyncio.run(make())
    assert "action log" not in run(config, "release", ROLE).stderr
    shown = CliRunner().invoke(app, ["log", "show", "--config", str(config)]).stdout
    assert "containment_released" in shown
    assert f"principal={ROLE}  policies=kms-monitor-contain-2" in shown
    there[ROLE] = ("kms-monitor-contain-3",)
    file.write_bytes(b"no database" * 99)
    answer = run(config, "release", ROLE)
    assert answer.exit_code == 0, "the release stands"
    assert "not in the action log: cannot use the store" in answer.stderr
