"""`kms-monitor material`, as people run it, against the simulator."""

import asyncio
import base64
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.key import KeySnapshot, KeyState
from monitor.reimport.wrapping import new_material
from monitor.simulator.server import Simulator
from tests.journey.conftest import Person, daemon
from tests.journey.material import Site, key_id, ref

ROOT = Path(__file__).parents[2]
NEVER = ("--expires", "never")


@pytest.fixture
def site(simulator: Simulator, people: Callable[[str], Person], tmp_path: Path) -> Site:
    return Site(simulator, tmp_path, people("admin").kms)


def imports_of(site: Site) -> int:
    return sum(one["eventName"] == "ImportKeyMaterial" for one in site.simulator.records)


async def verdicts(site: Site, *words: str) -> tuple[int, list[Any]]:
    code, out, err = await site.run("verify", "--json", *words)
    assert err == ""
    return code, [json.loads(line) for line in out.splitlines()]


async def test_generate_then_import_in_one_go(site: Site) -> None:
    arn, file = await site.key(), site.path / "payments.key"
    code, out, _ = await site.run("generate", str(file), "--encoding", "base64", "--json")
    assert code == 0
    made = json.loads(out)
    assert made["bytes"] == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    words = ("import", "--key", arn, "--file", str(file), "--encoding", "base64", "--json")
    code, out, err = await site.run(*words, "--expires", "90d")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["state"] == "Enabled"
    assert result["sha256"] == made["sha256"]
    assert "ValidTo" in (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]
    # Once more with another expiry: harmless.
    code, out, _ = await site.run(*words, *NEVER)
    assert code == 0
    assert "ValidTo" not in (await site.admin.describe_key(KeyId=arn))["KeyMetadata"]


async def test_step_by_step_around_a_machine_without_a_network(site: Site) -> None:
    arn = await site.key()
    pair, file, wrapped = (site.path / name for name in ("p.json", "m.key", "w.bin"))
    assert (await site.run("generate", str(file)))[0] == 0
    code, out, _ = await site.run("import", "--key", arn, "--parameters-out", str(pair))
    assert code == 0
    assert "for one import, until 20" in out
    assert stat.S_IMODE(pair.stat().st_mode) == 0o600
    code, _, err = await site.run("import", "--key", arn, "--parameters-out", str(pair))
    assert (code, "there is a" in err) == (2, True)
    code, out, err = await site.run(
        "import", "--token", str(pair), "--file", str(file), "--wrapped-out", str(wrapped),
        AWS_ENDPOINT_URL="http://127.0.0.1:1", KMS_MONITOR_CONFIG="/nonexistent",
    )  # fmt: skip
    assert (code, err) == (0, "")
    code, out, err = await site.run(
        "import", "--token", str(pair), "--wrapped", str(wrapped), *NEVER
    )
    assert (code, err) == (0, "")
    assert out.endswith("without expiry; the key is Enabled\n")
    assert await site.state(arn) == "Enabled"


async def test_material_that_openssl_wrapped_is_taken(site: Site) -> None:
    """What --parameters-out writes serves other tools, too: the recipe of docs/material.md."""
    arn = await site.key()
    pair, public, material, wrapped = (site.path / name for name in ("p", "pub.der", "m", "w"))
    material.write_bytes(os.urandom(32))
    await site.run("import", "--key", arn, "--parameters-out", str(pair))
    public.write_bytes(base64.b64decode(json.loads(pair.read_text())["public_key"]))
    options = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
    more = [word for one in options for word in ("-pkeyopt", one)]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    running = await asyncio.create_subprocess_exec(
        "openssl", "pkeyutl", "-encrypt", "-in", material, "-out", wrapped,
        "-inkey", public, "-keyform", "DER", "-pubin", *more,
    )  # fmt: skip
    assert await running.wait() == 0
    code, _, err = await site.run("import", "--token", str(pair), "--wrapped", str(wrapped), *NEVER)
    assert (code, err) == (0, "")
    assert await site.state(arn) == "Enabled"


async def test_a_token_is_used_once(site: Site) -> None:
    arn = await site.key()
    pair, file = site.path / "p.json", site.put(key_id(arn), os.urandom(32))
    await site.run("import", "--key", arn, "--parameters-out", str(pair))
    words = ("import", "--token", str(pair), "--file", str(file), *NEVER)
    assert (await site.run(*words))[0] == 0
    before = imports_of(site)
    code, out, err = await site.run(*words)
    assert (code, out) == (2, "")
    assert "a token is good for one import; ask for a new one: kms-monitor material import" in err
    assert imports_of(site) == before
    # Somewhere else nobody knows that, but KMS does.
    (site.path / "records.json").unlink()
    code, out, err = await site.run(*words)
    assert (code, out) == (1, "")
    assert "InvalidImportTokenException" in err
    assert "the import token was used already, or is another key's: ask for a new one" in err


async def test_what_was_wrapped_for_another_token_is_refused_in_words(site: Site) -> None:
    site.simulator.kms.fresh_wrapping_keys = True
    arn, file = await site.key(), site.put("m", os.urandom(32))
    first, second, wrapped = (site.path / name for name in ("1.json", "2.json", "w.bin"))
    for pair in (first, second):
        await site.run("import", "--key", arn, "--parameters-out", str(pair))
    words = ("import", "--token", str(first), "--file", str(file), "--wrapped-out", str(wrapped))
    assert (await site.run(*words))[0] == 0
    code, _, err = await site.run(
        "import", "--token", str(second), "--wrapped", str(wrapped), *NEVER
    )
    assert code == 1
    assert "wrapped with the public key of another token" in err
    assert await site.state(arn) == "PendingImport"
    # That token was not spent.
    code, _, err = await site.run("import", "--token", str(second), "--file", str(file), *NEVER)
    assert (code, err) == (0, "")


async def test_wrong_material_ends_with_what_it_means(site: Site) -> None:
    arn = await site.imported()
    await site.admin.delete_imported_key_material(KeyId=arn)
    other = site.put("other", os.urandom(32))
    code, out, err = await site.run("import", "--key", arn, "--file", str(other), *NEVER)
    assert (code, out) == (1, "")
    assert "not the material that the key had before" in err
    code, out, _ = await site.run("import", "--key", arn, *NEVER)
    assert code == 0
    assert "imported from file, without expiry; the key is Enabled" in out


async def test_verify_says_what_is_proved_and_what_cannot_be(site: Site) -> None:
    right = await site.imported()
    wrong = await site.imported()
    missing = await site.key()
    codes = await site.imported("HMAC_384")
    wrong_codes = await site.imported("HMAC_384")
    signer = await site.imported("ECC_NIST_P256")
    wrong_signer = await site.imported("ECC_NIST_P256")
    site.put(key_id(wrong), os.urandom(32))
    site.put(key_id(wrong_codes), os.urandom(48))
    with new_material("ECC_NIST_P256") as secret:
        site.put(key_id(wrong_signer), secret.reveal())
    before = imports_of(site)
    code, rows = await verdicts(site)
    assert code == 1
    assert imports_of(site) == before
    found = {one["key"]: one["verdict"] for one in rows}
    assert found == {
        right: "right",
        wrong: "wrong",
        missing: "missing",
        codes: "right",
        wrong_codes: "wrong",
        signer: "right",
        wrong_signer: "wrong",
    }
    # Without records a symmetric key's material can only be looked at.
    (site.path / "records.json").unlink()
    code, rows = await verdicts(site, "--key", right, "--key", codes)
    assert code == 0
    assert {one["key"]: one["verdict"] for one in rows} == {right: "unproved", codes: "right"}
    assert (await verdicts(site, "--strict", "--key", right))[0] == 1
    # Nor can KMS compute with a key that has no material.
    await site.admin.delete_imported_key_material(KeyId=signer)
    code, rows = await verdicts(site, "--key", signer)
    assert [one["verdict"] for one in rows] == ["unproved"]
    assert "is pending import" in rows[0]["how"]


async def test_verify_shows_what_could_not_be_asked(site: Site) -> None:
    arn = await site.imported()
    (site.folder / key_id(arn)).chmod(0o644)
    code, out, err = await site.run("verify")
    assert (code, err) == (1, "")
    assert "failed" in out
    assert "can be read or written by others (mode 0644)" in out
    site.simulator.set_knob("deny", ("kms-monitor:kms:ListKeys",))
    code, rows = await verdicts(site)
    assert code == 1
    assert [one["verdict"] for one in rows] == ["failed"]
    site.configure(escrows={})
    code, _, err = await site.run("verify")
    assert (code, "escrows: the settings name none" in err) == (2, True)


async def test_the_policy_allows_what_is_called_and_nothing_else(site: Site) -> None:
    statements = [
        one
        for name in ("policy.json", "material-policy.json")
        for one in json.loads((ROOT / "deploy/aws" / name).read_text("utf-8"))["Statement"]
    ]
    allowed = {
        action
        for one in statements
        if one["Effect"] == "Allow"
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    for spec in ("SYMMETRIC_DEFAULT", "HMAC_256", "ECC_NIST_P256"):
        arn = await site.imported(spec)
        await site.admin.delete_imported_key_material(KeyId=arn)
        async with site.desk() as desk:
            live = KeySnapshot(ref(arn), KeyState.PENDING_IMPORT, 0.0)
            await desk.reimport.bring_back(live, None)
    await site.run("verify")
    called = {
        f"kms:{one['eventName']}"
        for one in site.simulator.records
        if one["userIdentity"].get("userName") == "kms-monitor"
    }
    ours = {"kms:ListKeyRotations", "kms:GetParametersForImport", "kms:ImportKeyMaterial"}
    assert ours | {"kms:GetPublicKey", "kms:GenerateMac"} <= called <= allowed


async def test_nothing_that_the_commands_print_or_keep_holds_material(site: Site) -> None:
    said = ""
    file = site.path / "m.key"
    arn = await site.key()
    for words in (
        ("generate", str(file)),
        ("import", "--key", arn, "--file", str(file), *NEVER),
        ("import", "--key", arn, "--file", str(file), "--encoding", "hex", *NEVER),
        ("import", "--key", arn, "--file", str(file), *NEVER, "--json"),
        ("verify",),
    ):
        _, out, err = await site.run(*words)
        said += out + err
    data = file.read_bytes()
    said += (site.path / "records.json").read_text() + json.dumps(site.simulator.records)
    for form in (data.hex(), base64.b64encode(data).decode(), repr(data)[2:-1]):
        assert form not in said
    assert stat.S_IMODE((site.path / "records.json").stat().st_mode) == 0o600


async def test_the_daemon_hands_it_to_its_responders(site: Site) -> None:
    """Escrows of the settings reach whoever repairs keys; their metrics are born at zero."""
    async with daemon(site.settings) as app:
        text = app.metrics.registry.get_sample_value
        answers = {"escrow": "file", "answer": "found"}
        assert text("kms_monitor_escrow_answers_total", answers) == 0
        assert text("kms_monitor_escrow_failing", {"escrow": "file"}) == 0


RESPONDER = """\
from typing import ClassVar
from monitor.decision import Action, Outcome
from monitor.detector import NoOptions
from monitor.finding import Aspect
from monitor.key import KeySnapshot, KeyState

class BringBack:
    name: ClassVar = "bring_back"
    repairs: ClassVar = True
    aspects: ClassVar = frozenset({Aspect.STATE})
    Options: ClassVar = NoOptions
    def __init__(self, options, services): self.services = services
    async def serve(self): pass
    def problem(self): return None
    async def respond(self, decision):
        if decision.dry_run or decision.finding.caused != "PendingImport":
            return Action(self.name, Outcome.ALREADY, "", (), 0.0)
        text = await self.services.reimport.bring_back(
            KeySnapshot(decision.finding.key, KeyState.PENDING_IMPORT, 0.0), None
        )
        return Action(self.name, Outcome.DONE, text, ("ImportKeyMaterial",), 0.0)
"""


async def test_a_responder_brings_material_back_in_the_running_daemon(site: Site) -> None:
    """With the real command, whose log is read: `Services.reimport` as a responder finds it."""
    arn = await site.imported()
    material = (site.folder / key_id(arn)).read_bytes()
    folder = site.path / "plugins"
    folder.mkdir(mode=0o755)
    (folder / "bring_back.py").write_text(RESPONDER)
    (folder / "bring_back.py").chmod(0o644)
    options = {"restore_key": {"doubt_seconds": 0}, "bring_back": {}}
    site.configure(plugin_folders=[str(folder)], responders=options, log={"level": "debug"})
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "run", "--config", str(site.path / "settings.yaml"),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert running.stderr is not None
    lines = [b""]
    try:
        async with asyncio.timeout(20):
            while b'"receiving"' not in lines[-1]:
                lines.append(await running.stderr.readline())
            await site.admin.delete_imported_key_material(KeyId=arn)
            while b"key material imported" not in lines[-1]:
                lines.append(await running.stderr.readline())
        assert await site.state(arn) == "Enabled"
        assert core_limits(running.pid) == ["0", "0"]
    finally:
        running.terminate()
        lines.append(await running.stderr.read())
        assert await running.wait() == 0
    logged = b"".join(lines).decode()
    for form in (material.hex(), base64.b64encode(material).decode(), repr(material)[2:-1]):
        assert form not in logged


def core_limits(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]
