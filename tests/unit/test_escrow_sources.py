"""The edges of the built-in escrows: modes, links, programs that hang, a Vault that says no.

Replaced: Vault, by the parts of its documented API that are used (`tests.fake_vault`).
"""

import asyncio
import os
import ssl
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from monitor.errors import Denied, NotWorthRetrying, WorthRetrying
from monitor.escrow import Secret, Wanted
from monitor.escrows import command
from monitor.escrows.command import CommandEscrow, CommandOptions
from monitor.escrows.file import FileEscrow, FileOptions, weakness
from monitor.escrows.secretsmanager import SecretsManagerOptions
from monitor.escrows.vault import VaultEscrow, VaultOptions
from monitor.testing import services
from tests.fake_vault import Vault, fake_vault
from tests.real.certificates import Authority
from tests.samples import KEY, KEY_ID

WANTED = Wanted(KEY)
MATERIAL = bytes(range(32))
TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
"""MATERIAL in base64."""


def revealed(secret: Secret | None) -> bytes:
    assert secret is not None
    return secret.reveal()


# -- file


def folder(path: Path, mode: int = 0o600) -> FileEscrow:
    file = path / KEY_ID
    file.write_bytes(MATERIAL)
    file.chmod(mode)
    return FileEscrow(FileOptions(folder=path), services())


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
async def test_a_file_that_only_we_can_read(tmp_path: Path, mode: int) -> None:
    assert revealed(await folder(tmp_path, mode).fetch(WANTED)) == MATERIAL


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o666, 0o601, 0o777])
async def test_a_file_that_others_can_read_or_write_is_no_secret(tmp_path: Path, mode: int) -> None:
    with pytest.raises(NotWorthRetrying, match=rf"by others \(mode {mode:04o}\); chmod go-rwx"):
        await folder(tmp_path, mode).fetch(WANTED)


@pytest.mark.parametrize(
    ("owner", "group", "mode", "good"),
    [
        (0, "ours", 0o440, True),  # a Kubernetes secret with fsGroup
        (0, "ours", 0o640, True),
        (0, "ours", 0o460, False),
        (0, "ours", 0o444, False),
        (0, "theirs", 0o440, False),
        (0, "theirs", 0o400, True),
        (1000, "ours", 0o440, False),
        (1000, "theirs", 0o400, True),
        (1001, "ours", 0o400, False),
    ],
)
def test_whose_file_it_may_be(
    monkeypatch: pytest.MonkeyPatch, owner: int, group: str, mode: int, good: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [2000])
    gid = 2000 if group == "ours" else 3000
    found = os.stat_result((stat.S_IFREG | mode, 0, 0, 1, owner, gid, 32, 0, 0, 0))
    assert (weakness(found) == "") is good


async def test_a_mounted_kubernetes_secret(tmp_path: Path) -> None:
    """A link to a link: `NAME -> ..data/NAME`, `..data -> ..2026_11_20_09_14_03.123`."""
    inside = tmp_path / "..2026_11_20_09_14_03.123"
    inside.mkdir()
    folder(inside, 0o400)
    (tmp_path / "..data").symlink_to(inside.name)
    (tmp_path / KEY_ID).symlink_to(f"..data/{KEY_ID}")
    escrow = FileEscrow(FileOptions(folder=tmp_path), services())
    assert revealed(await escrow.fetch(WANTED)) == MATERIAL
    (inside / KEY_ID).chmod(0o644)
    with pytest.raises(NotWorthRetrying, match="by others"):
        await escrow.fetch(WANTED)


async def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    escrow = FileEscrow(FileOptions(folder=tmp_path), services())
    os.mkfifo(tmp_path / KEY_ID, 0o600)
    with pytest.raises(NotWorthRetrying, match="is not a file"):
        await escrow.fetch(WANTED)
    (tmp_path / KEY_ID).unlink()
    (tmp_path / KEY_ID).symlink_to("nowhere")
    assert await escrow.fetch(WANTED) is None
    (tmp_path / KEY_ID).unlink()
    (tmp_path / KEY_ID).symlink_to(KEY_ID)
    with pytest.raises(WorthRetrying, match="cannot be read"):
        await escrow.fetch(WANTED)
    assert await FileEscrow(FileOptions(folder=tmp_path / "no"), services()).fetch(WANTED) is None


async def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    escrow = folder(tmp_path)
    (tmp_path / "other").mkdir()
    before = open_files()
    for mode in (0o600, 0o644):
        (tmp_path / KEY_ID).chmod(mode)
        try:
            await escrow.fetch(WANTED)
        except NotWorthRetrying:
            continue
    assert open_files() == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# -- command


def script(path: Path, text: str, **options: Any) -> CommandEscrow:
    program = path / "program"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o700)
    given = {"argv": [str(program), "{arn}"], "timeout_seconds": 5} | options
    return CommandEscrow(CommandOptions.model_validate(given), services())


async def test_a_program_prints_material(tmp_path: Path) -> None:
    escrow = script(tmp_path, f'[ "$1" = "{KEY.arn}" ] && echo {TEXT}')
    assert revealed(await escrow.fetch(WANTED)) == MATERIAL


async def test_a_program_that_prints_nothing_has_nothing(tmp_path: Path) -> None:
    assert await script(tmp_path, "exit 0").fetch(WANTED) is None


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (f"echo {TEXT}; exit 3", WorthRetrying, "failed with exit code 3"),
        (f"echo {TEXT}; kill -9 $$", WorthRetrying, "was ended by signal 9"),
        (f"echo {TEXT}!", NotWorthRetrying, "printed is not valid base64"),
        (f"echo {TEXT} >&2; echo garbage", NotWorthRetrying, "printed is not valid base64"),
        ("yes", NotWorthRetrying, "longer than any key material"),
    ],
)
async def test_a_program_that_fails_is_told_without_what_it_printed(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    text: str,
    kind: type[Exception],
    words: str,
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await script(tmp_path, text).fetch(WANTED)
    assert TEXT not in str(caught.value)
    assert "garbage" not in str(caught.value)
    assert TEXT not in "".join(capfd.readouterr())


async def test_a_program_that_dies_slowly_is_read_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what nobody reads asyncio keeps so much, and then would never see that the pipe was closed."""
    kill = command.kill
    monkeypatch.setattr(
        command, "kill", lambda running: asyncio.get_running_loop().call_later(0.2, kill, running)
    )
    with pytest.raises(NotWorthRetrying, match="longer than any key material"):
        async with asyncio.timeout(20):
            await script(tmp_path, "exec yes").fetch(WANTED)


async def test_what_a_program_leaves_behind_is_killed_too(tmp_path: Path) -> None:
    """It has ended itself, and what it began holds the pipe."""
    pids = tmp_path / "pids"
    with pytest.raises(WorthRetrying, match="did not end within"):
        await script(tmp_path, f"sleep 61 & echo $! > {pids}", timeout_seconds=0.5).fetch(WANTED)
    assert await ends(int(pids.read_text()))


async def test_a_program_that_hangs_is_killed_with_all_that_it_began(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"sleep 61 & echo $$ $! > {pids}; echo {TEXT}; wait"
    began = time.monotonic()
    with pytest.raises(WorthRetrying, match=r"did not end within 0\.5 s"):
        await script(tmp_path, text, timeout_seconds=0.5).fetch(WANTED)
    assert time.monotonic() - began < 5
    for pid in map(int, pids.read_text().split()):
        assert await ends(pid)


async def ends(pid: int) -> bool:
    """Whether it is gone soon."""
    for _ in range(100):
        if not alive(pid):
            return True
        await asyncio.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_program_is_killed_when_the_daemon_gives_up(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    fetching = asyncio.create_task(
        script(tmp_path, f"echo $$ > {pids}; exec sleep 61").fetch(WANTED), name="fetch"
    )
    for _ in range(200):
        if pids.exists() and pids.read_text():
            break
        await asyncio.sleep(0.02)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not alive(int(pids.read_text()))


async def test_a_program_that_is_not_there_or_may_not_be_run(tmp_path: Path) -> None:
    escrow = script(tmp_path, "exit 0")
    (tmp_path / "program").chmod(0o600)
    with pytest.raises(NotWorthRetrying, match="cannot be run: Permission denied"):
        await escrow.fetch(WANTED)
    (tmp_path / "program").unlink()
    with pytest.raises(NotWorthRetrying, match="cannot be run: No such file"):
        await escrow.fetch(WANTED)


@pytest.mark.parametrize("argv", [["fetch"], ["bin/fetch"], [], ["/bin/x", "{nonsense}"], [""]])
def test_a_program_is_named_by_its_whole_path(argv: list[str]) -> None:
    with pytest.raises(ValidationError):
        CommandOptions.model_validate({"argv": argv})


# -- Vault


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    async with fake_vault() as vault:
        vault.secrets[f"kms/{KEY_ID}"] = {"material": TEXT}
        yield vault


def asking(vault: Vault, tmp_path: Path, **options: Any) -> VaultEscrow:
    token = tmp_path / "token"
    if not token.exists():
        token.write_text("s.good\n")
    given = {"address": vault.address, "token_file": token} | options
    given = {name: one for name, one in given.items() if one is not None}
    return VaultEscrow(VaultOptions.model_validate(given), services())


async def test_vault_by_a_token_and_in_a_namespace(vault: Vault, tmp_path: Path) -> None:
    escrow = asking(vault, tmp_path, namespace="team/kms")
    assert revealed(await escrow.fetch(WANTED)) == MATERIAL
    assert vault.seen[-1].headers["X-Vault-Namespace"] == "team/kms"
    assert vault.seen[-1].headers["X-Vault-Request"] == "true"


async def test_vault_by_the_pods_service_account(vault: Vault, tmp_path: Path) -> None:
    jwt = tmp_path / "jwt"
    jwt.write_text("pod.jwt")
    login = {"role": "kms-monitor", "jwt_file": jwt}
    escrow = asking(vault, tmp_path, token_file=None, kubernetes=login)
    assert revealed(await escrow.fetch(WANTED)) == MATERIAL
    escrow = asking(vault, tmp_path, token_file=None, kubernetes=login | {"role": "other"})
    with pytest.raises(Denied, match="logging in as other: HTTP 403: permission denied"):
        await escrow.fetch(WANTED)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (503, WorthRetrying, "Vault is sealed: it is sealed"),
        (500, WorthRetrying, "HTTP 500: internal error"),
        (429, WorthRetrying, "it is a standby"),
        (473, WorthRetrying, "performance standby"),
        (307, WorthRetrying, "should lead to the active node"),
        (400, NotWorthRetrying, "HTTP 400: internal error"),
        (200, NotWorthRetrying, "has no text in the field material"),
    ],
)
async def test_vault_that_says_no(
    vault: Vault, tmp_path: Path, status: int, kind: type[Exception], words: str
) -> None:
    vault.trouble = status
    with pytest.raises(kind, match=words):
        await asking(vault, tmp_path).fetch(WANTED)
    assert len(vault.seen) == 1  # a redirect in particular is not followed, with our token


async def test_a_token_that_is_good_no_more(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s.stolen")
    with pytest.raises(
        Denied, match="permission denied: the token is not valid any more"
    ) as caught:
        await asking(vault, tmp_path).fetch(WANTED)
    assert "s.stolen" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "é", "a\0b"])
async def test_a_token_file_that_holds_none(vault: Vault, tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(NotWorthRetrying, match="does not hold a secret on one line"):
        await asking(vault, tmp_path).fetch(WANTED)


async def test_a_token_file_that_is_not_there_yet(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(WorthRetrying, match="is not there"):
        await asking(vault, tmp_path, token_file=tmp_path / "later").fetch(WANTED)
    with pytest.raises(NotWorthRetrying, match="cannot be read: Is a directory"):
        await asking(vault, tmp_path, token_file=tmp_path).fetch(WANTED)


async def test_a_secret_that_was_deleted_is_no_secret_that_never_was(
    vault: Vault, tmp_path: Path
) -> None:
    vault.deleted.add(f"kms/{KEY_ID}")
    with pytest.raises(NotWorthRetrying, match="was deleted in Vault: undelete it"):
        await asking(vault, tmp_path).fetch(WANTED)
    assert await asking(vault, tmp_path, path="other/{key_id}").fetch(WANTED) is None
    with pytest.raises(NotWorthRetrying, match="HTTP 404: no handler for route"):
        await asking(vault, tmp_path, mount="typo").fetch(WANTED)


async def test_vault_that_is_not_there(vault: Vault, tmp_path: Path) -> None:
    escrow = asking(vault, tmp_path, address="http://127.0.0.1:1", timeout_seconds=2)
    with pytest.raises(WorthRetrying, match="cannot be reached: ClientConnectorError"):
        await escrow.fetch(WANTED)


async def test_vault_whose_certificate_is_not_good(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("vault", "127.0.0.1"))
    async with fake_vault(context) as vault:
        vault.secrets[f"kms/{KEY_ID}"] = {"material": TEXT}
        good = asking(vault, tmp_path, ca_file=authority.ca)
        assert revealed(await good.fetch(WANTED)) == MATERIAL
        for ca_file in (stranger.ca, None):
            with pytest.raises(NotWorthRetrying, match="its certificate is not good"):
                await asking(vault, tmp_path, ca_file=ca_file).fetch(WANTED)
        elsewhere = vault.address.replace("127.0.0.1", "localhost")
        with pytest.raises(NotWorthRetrying, match="its certificate is not good"):
            await asking(vault, tmp_path, ca_file=authority.ca, address=elsewhere).fetch(WANTED)
        with pytest.raises(NotWorthRetrying, match=r"ca_file .* cannot be read"):
            await asking(vault, tmp_path, ca_file=tmp_path / "none").fetch(WANTED)
        assert len(vault.seen) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "http://vault.example.org:8200"}, "must begin with https://"),
        ({"address": "vault:8200"}, "must be an address such as"),
        ({"address": "https://user:x@vault"}, "must be an address such as"),
        ({"address": "https://vault/v1"}, "without a path"),
        ({"encoding": "raw"}, "must be base64 or hex"),
        ({"token_file": None}, "either token_file or kubernetes"),
        ({"kubernetes": {"role": "x"}}, "either token_file or kubernetes"),
        ({"mount": "a b"}, "mount"),
        ({"path": "{nonsense}"}, "is no placeholder"),
        ({"tokenfile": "x"}, "Extra inputs"),
    ],
)
def test_options_of_vault_that_are_wrong(options: dict[str, Any], words: str) -> None:
    given = {"address": "https://vault:8200", "token_file": "/t"} | options
    given = {name: one for name, one in given.items() if one is not None}
    with pytest.raises(ValidationError, match=words):
        VaultOptions.model_validate(given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "europe"}, "region"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "role_arn"),
        ({"external_id": "kms-guard-1"}, "only together with role_arn"),
        ({"secret": []}, "secret"),
    ],
)
def test_options_of_secrets_manager_that_are_wrong(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SecretsManagerOptions.model_validate(
            {"secret": "kms/{key_id}", "region": "eu-west-1"} | options
        )
