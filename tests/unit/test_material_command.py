"""`kms-monitor material` as far as it needs no KMS: its command line, its files, and the wrapping.

The rest is in tests/journey/test_material_command.py.
"""

import base64
import hashlib
import json
import stat
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from monitor import private_memory
from monitor.cli import app
from monitor.errors import SettingsError
from monitor.material.desk import read_material
from monitor.material.importing import Asked
from monitor.material.records import TOKEN_DAYS, Book, Known, Records
from monitor.reimport.wrapping import SPECS, misfit
from tests.samples import ACCOUNT, ARN, EPOCH, REGION
from tests.unit.test_wrapping import PUBLIC, unwrapped

NEVER = ("--expires", "never")


@pytest.fixture(autouse=True)
def _no_private_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would last for the rest of the test run.
    monkeypatch.setattr(private_memory, "keep_private", list)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "settings.yaml"
    queue = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q"
    settings = {
        "mode": "observe",
        "accounts": [{"id": ACCOUNT, "regions": [REGION]}],
        "queues": [{"url": queue, "region": REGION}],
        "escrows": {"file": {"folder": str(tmp_path)}},
        "material": {"records": str(tmp_path / "records.json")},
    }
    file.write_text(json.dumps(settings))
    return file


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["material", *words])
    return result.exit_code, result.stdout, result.stderr


# -- generate


@pytest.mark.parametrize("encoding", ["raw", "base64", "hex"])
def test_material_is_written_for_nobody_else(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "m"
    code, out, err = run("generate", str(file), "--encoding", encoding)
    assert (code, err) == (0, "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = file.read_bytes()
    if encoding != "raw":
        data = base64.b64decode(data) if encoding == "base64" else bytes.fromhex(data.decode())
    assert len(data) == 32
    assert hashlib.sha256(data).hexdigest() in out
    for form in (data.hex(), base64.b64encode(data).decode()):
        assert form not in out


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    for there in (tmp_path / "file", tmp_path / "link"):
        there.symlink_to(tmp_path / "elsewhere") if there.name == "link" else there.write_text("x")
        code, out, err = run("generate", str(there))
        assert (code, out) == (2, "")
        assert "already; nothing was written" in err
    assert (tmp_path / "file").read_text() == "x"
    assert not (tmp_path / "elsewhere").exists()
    code, _, err = run("generate", str(tmp_path / "no" / "m"))
    assert (code, "cannot be written: No such file" in err) == (2, True)


def test_a_spec_that_is_none(tmp_path: Path) -> None:
    code, _, err = run("generate", str(tmp_path / "m"), "--spec", "SM2")
    assert (code, "--spec: must be one of SYMMETRIC_DEFAULT" in err) == (2, True)
    assert not (tmp_path / "m").exists()


# -- import


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--file", "x", *NEVER), "--key: is needed"),
        (("--key", ARN, "--file", "x"), "--expires: say never"),
        (("--key", ARN, "--wrapped", "w", *NEVER), "--wrapped: goes with --token"),
        (("--key", ARN, "--wrapped-out", "w"), "--wrapped-out: goes with --token and --file"),
        (("--key", ARN, "--parameters-out", "p", *NEVER), "--parameters-out: goes with --key"),
        (("--token", "nowhere", "--file", "x", *NEVER), "--token: nowhere cannot be read"),
        (("--key", "x", *NEVER), "--key: x is no key's ARN"),
        (("--key", ARN.replace(ACCOUNT, "999988887777"), *NEVER), "is in no account and Region"),
    ],
)
def test_a_command_line_that_is_wrong(config: Path, words: tuple[str, ...], fault: str) -> None:
    code, out, err = run("import", *words, "--config", str(config))
    assert (code, out) == (2, "")
    assert fault in err


def parameters(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "p.json"
    whole = {
        "key": ARN,
        "key_spec": "SYMMETRIC_DEFAULT",
        "wrapping_algorithm": "RSAES_OAEP_SHA_256",
        "wrapping_key_spec": "RSA_2048",
        "public_key": base64.b64encode(PUBLIC).decode(),
        "import_token": base64.b64encode(b"token").decode(),
        "valid_to": "2026-11-21T09:14:03Z",
    }
    file.write_text(json.dumps(whole | changes))
    return file


def test_wrapping_needs_neither_settings_nor_a_network(tmp_path: Path) -> None:
    material, wrapped = tmp_path / "m", tmp_path / "w"
    material.write_bytes(bytes(range(32)))
    words = ("--token", str(parameters(tmp_path)), "--file", str(material))
    code, out, err = run("import", *words, "--wrapped-out", str(wrapped), "--config", "/nowhere")
    assert (code, err) == (0, "")
    assert hashlib.sha256(bytes(range(32))).hexdigest() in out
    assert unwrapped(wrapped.read_bytes(), "RSAES_OAEP_SHA_256") == bytes(range(32))


@pytest.mark.parametrize(
    ("changes", "length", "code", "fault"),
    [
        ({}, 31, 1, "must be 32 bytes; this is 31 bytes"),
        ({"public_key": "AAAA"}, 32, 1, "the wrapping key cannot be read"),
        ({"wrapping_algorithm": "SM2PKE"}, 32, 1, "does not wrap with SM2PKE"),
        ({"public_key": "!"}, 32, 2, "is not what --parameters-out wrote"),
        ({"valid_to": "soon"}, 32, 2, "is not what --parameters-out wrote"),
    ],
)
def test_parameters_that_are_of_no_use(
    tmp_path: Path, changes: dict[str, Any], length: int, code: int, fault: str
) -> None:
    material, wrapped = tmp_path / "m", tmp_path / "w"
    material.write_bytes(bytes(length))
    words = ("--token", str(parameters(tmp_path, **changes)), "--file", str(material))
    found, out, err = run("import", *words, "--wrapped-out", str(wrapped))
    assert (found, out) == (code, "")
    assert fault in err
    assert not wrapped.exists()


def test_a_token_of_another_key_or_that_ran_out(tmp_path: Path, config: Path) -> None:
    """Neither costs a call."""
    material = tmp_path / "m"
    material.write_bytes(bytes(32))
    words = ("--token", str(parameters(tmp_path)), "--file", str(material), "-c", str(config))
    code, _, err = run("import", *words, *NEVER, "--key", f"{ARN}x")
    assert (code, f"is of another key: {ARN}" in err) == (2, True)
    parameters(tmp_path, valid_to="2020-01-01T00:00:00Z")
    code, _, err = run("import", *words, *NEVER)
    assert (code, "ran out at 2020-01-01T00:00:00Z; ask for a new one" in err) == (2, True)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "key": st.just(ARN),
            "expires": st.just("never"),
            "new": st.just(True),
            **{
                name: st.just(Path("x"))
                for name in ("file", "token", "wrapped", "wrapped_out", "parameters_out")
            },
        },
    )
)
def test_every_command_line_is_one_step_or_at_fault(given: dict[str, Any]) -> None:
    asked = Asked(**given)
    if asked.faults():
        return
    names = set(given)
    assert asked.step in {"parameters", "wrap", "import"}
    assert (asked.step == "import") == ("expires" in names)
    assert not {"file", "wrapped"} <= names
    if asked.step == "parameters":
        assert names == {"key", "parameters_out"}


# -- verify


def test_verify_without_escrows_is_a_fault(config: Path) -> None:
    config.write_text(config.read_text().replace('"file"', '"vault"'))
    code, out, err = run("verify", "--config", str(config))
    assert (code, out) == (2, "")
    assert "escrows.vault.address: is missing" in err


# -- records


KNOWN = Known(ARN, "m1", "a" * 64, EPOCH)


def test_records_outlive_the_process_and_hold_the_last_word(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.json")
    assert records.read() == Book()
    records.note(KNOWN)
    records.note(msgspec.structs.replace(KNOWN, material_id="m2"))
    records.note(msgspec.structs.replace(KNOWN, sha256="b" * 64))
    book = Records(tmp_path / "r.json").read()
    assert [(one.material_id, one.sha256[0]) for one in book.known] == [("m2", "a"), ("m1", "b")]
    assert book.of(ARN, "m1") == msgspec.structs.replace(KNOWN, sha256="b" * 64)
    replica = ARN.replace(REGION, "us-east-1")
    assert book.of(replica, "m1") is not None  # related keys share their material and its id
    assert book.of(replica, "") is None
    assert stat.S_IMODE((tmp_path / "r.json").stat().st_mode) == 0o600


def test_a_used_token_is_remembered_by_its_digest_for_a_while(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.json")
    records.use(b"first", ARN, EPOCH)
    assert b"first" not in (tmp_path / "r.json").read_bytes()
    used = records.read().use_of(b"first")
    assert used is not None
    assert used.at == EPOCH
    assert records.read().use_of(b"second") is None
    records.use(b"second", ARN, EPOCH + (TOKEN_DAYS + 1) * 86400)
    assert records.read().use_of(b"first") is None


def test_nothing_is_lost_when_many_write(tmp_path: Path) -> None:
    def write(number: int) -> None:
        Records(tmp_path / "r.json").note(Known(ARN, f"m{number}", "a" * 64, EPOCH))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(Records(tmp_path / "r.json").read().known) == 20


@pytest.mark.parametrize("text", ["", "[]", "{", '{"known": [1]}', "\xff"])
def test_records_that_somebody_broke_are_not_written_over(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match="is not what kms-monitor wrote"):
        Records(file).note(KNOWN)
    assert file.read_bytes() == text.encode("latin-1")


def test_records_that_cannot_be_kept_are_known_before_kms_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"material\.records: .* cannot be written: No such"):
        Records(tmp_path / "no" / "r.json").check()


def test_generated_material_fits(tmp_path: Path) -> None:
    for spec in SPECS:
        if spec.startswith("RSA_") and spec != "RSA_2048":
            continue  # takes seconds
        file = tmp_path / spec
        assert run("generate", str(file), "--spec", spec)[0] == 0
        with read_material(file, "raw") as secret:
            assert misfit(spec, secret) == ""
