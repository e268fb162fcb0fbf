"""The commands `kms-monitor material {generate,import,verify}`."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, TypeVar

import typer

from monitor.errors import MonitorError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from monitor.material.desk import Desk
    from monitor.material.importing import Result
    from monitor.material.verifying import Row

T = TypeVar("T")
material = typer.Typer(
    help="Make key material, import it, and see whether the escrows have the right one.",
    no_args_is_help=True,
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="KMS_MONITOR_CONFIG", help="The settings file.")
]
EncodingOption = Annotated[
    Literal["raw", "base64", "hex"], typer.Option(help="How the material is written in the file.")
]
DEFAULT_CONFIG = Path("kms-monitor.yaml")


@material.command(epilog="Example: kms-monitor material generate payments.key --encoding base64")
def generate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="It must not be there yet.")],
    spec: Annotated[
        str, typer.Option(metavar="KEY-SPEC", help="Of the KMS key that it is for.")
    ] = "SYMMETRIC_DEFAULT",
    encoding: EncodingOption = "raw",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Write new random material into a new file of mode 0600.

    256 bits for a symmetric key; as many as the digest for an HMAC key; a private key in PKCS #8 DER
    for RSA and ECC keys. Put it into your escrow before you import it: KMS never gives it back.

    Exit codes: 0 it is written; 2 the command line is wrong, or the file cannot be written.
    """
    # Here and not above, so that --help and the other commands start fast.
    import base64  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from monitor.material.desk import write_new  # noqa: PLC0415
    from monitor.reimport.wrapping import SPECS, new_material  # noqa: PLC0415

    if spec not in SPECS:
        fail(f"--spec: must be one of {', '.join(SPECS)}")
    stay_private()
    with new_material(spec) as secret:
        data = secret.reveal()
        if encoding != "raw":
            text = base64.b64encode(data).decode() if encoding == "base64" else data.hex()
            data = f"{text}\n".encode()
        try:
            write_new(file, data, "FILE")
        except SettingsError as error:
            fail(*error.faults)
        fingerprint, length = secret.fingerprint(), len(secret)
    if as_json:
        made = {"file": str(file), "spec": spec, "bytes": length, "sha256": fingerprint}
        typer.echo(msgspec.json.encode(made))
    else:
        typer.echo(f"{file}: {length} bytes for {spec} keys, {encoding}; SHA-256 {fingerprint}")


@material.command(
    "import",
    epilog="Example: kms-monitor material import --key ARN --file payments.key --expires never",
)
def import_material(
    *,
    key: Annotated[str, typer.Option(metavar="ARN", help="The key's ARN.")] = "",
    file: Annotated[
        Path | None,
        typer.Option(help="The material. Without it: from the escrows of the settings."),
    ] = None,
    encoding: EncodingOption = "raw",
    expires: Annotated[
        str, typer.Option(metavar="WHEN", help="never, 90d, or a time with its zone.")
    ] = "",
    parameters_out: Annotated[
        Path | None,
        typer.Option(help="Only ask for a public key and an import token, and write them there."),
    ] = None,
    token: Annotated[
        Path | None, typer.Option(help="What --parameters-out wrote. For one import, within 24 h.")
    ] = None,
    wrapped_out: Annotated[
        Path | None,
        typer.Option(help="Only wrap --file for --token, and write that. Needs no network."),
    ] = None,
    wrapped: Annotated[
        Path | None, typer.Option(help="Import this: material that is wrapped already.")
    ] = None,
    new: Annotated[
        bool,
        typer.Option("--new", help="Material that the key never had; it waits for a rotation."),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object for each material.")
    ] = False,
) -> None:
    """Import material into a key whose origin is EXTERNAL, in one go or step by step.

    In one go: --key, --expires, and --file or the escrows. Around a machine without a network, or an
    HSM: (1) --key --parameters-out p.json, (2) there: --token p.json --file F --wrapped-out w.bin, or
    with tools of your own, (3) --token p.json --wrapped w.bin --expires never.

    To import what the key has already is harmless, and proves that it is the right material.

    Exit codes: 0 it is done; 1 KMS has refused, or the key is still not usable; 2 the settings or the
    command line are wrong, or a token was used already.
    """
    from monitor.material.importing import Asked, carry_out, wrap_offline  # noqa: PLC0415

    asked = Asked(
        key=key,
        file=file,
        encoding=encoding,
        expires=expires,
        parameters_out=parameters_out,
        token=token,
        wrapped=wrapped,
        wrapped_out=wrapped_out,
        new=new,
    )
    if faults := asked.faults():
        fail(*faults)
    stay_private()

    async def work(desk: "Desk") -> "list[Result]":
        return await carry_out(asked, desk)

    offline = asked.step == "wrap"
    results = [told(lambda: wrap_offline(asked))] if offline else run(config, work)
    for one in results:
        show_result(one, as_json=as_json)
    raise typer.Exit(0 if all(one.state in {"", "Enabled"} for one in results) else 1)


@material.command(epilog="Example: kms-monitor material verify --config kms-monitor.yaml --json")
def verify(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    key: Annotated[
        list[str] | None, typer.Option(metavar="ARN", help="Only this key. Repeatable.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="What is not proved counts as not all right.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object for each line.")
    ] = False,
) -> None:
    """Say whether the escrows have the material of every imported key, and the right one.

    Nothing is imported. Proved is: a private key by its public half, an HMAC key by a code that KMS
    computes, a symmetric key only by the fingerprint of an earlier import (material.records). All
    else is `unproved`: there, and of the right length and kind.

    Exit codes: 0 every key has its material; 1 some has none or the wrong one, or something could not
    be asked; 2 the settings or the command line are wrong.
    """
    from monitor.material.verifying import Verdict  # noqa: PLC0415
    from monitor.material.verifying import verify as look  # noqa: PLC0415

    stay_private()

    async def work(desk: "Desk") -> "list[Row]":
        if not len(desk.escrows):
            raise SettingsError(["escrows: the settings name none"])
        return [row async for row in look(desk, key or [])]

    rows = run(config, work)
    show_rows(rows, as_json=as_json)
    good = {Verdict.RIGHT} if strict else {Verdict.RIGHT, Verdict.UNPROVED}
    raise typer.Exit(0 if all(one.verdict in good for one in rows) else 1)


def show_result(one: "Result", *, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        typer.echo(msgspec.json.encode(one))
        return
    match one.step:
        case "parameters":
            text = f"{one.file}: public key and import token of {one.key}, for one import"
            typer.echo(f"{text}, {one.expires}")
        case "wrap":
            typer.echo(f"{one.file}: wrapped for {one.key}; SHA-256 of the material {one.sha256}")
        case _:
            which = f" {one.material_id}" if one.material_id else ""
            whence = f" from {one.escrow}" if one.escrow else ""
            text = f"{one.key}: material{which} imported{whence}, {one.expires}"
            typer.echo(f"{text}; the key is {one.state}")


def show_rows(rows: "list[Row]", *, as_json: bool) -> None:
    if as_json:
        import msgspec  # noqa: PLC0415

        for one in rows:
            typer.echo(msgspec.json.encode(one))
        return
    if not rows:
        typer.echo("no key has imported material", err=True)
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from monitor.logs import printable  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("verdict", "escrow", "material"):
        table.add_column(title, no_wrap=True)
    table.add_column("key, and how that is known", overflow="fold")
    for one in rows:
        cells = (
            one.verdict.value,
            one.escrow,
            one.material_id[:12],
            f"{one.key} {one.state}: {one.how}",
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console = Console()
    # Off a terminal rich would assume 80 columns.
    (console if console.is_terminal else Console(width=200)).print(table)


# -- what the commands share


def stay_private() -> None:
    from monitor.private_memory import keep_private  # noqa: PLC0415

    keep_private()


def run(config: Path, work: "Callable[[Desk], Awaitable[T]]") -> T:
    """Do the work with KMS and the escrows of the settings."""
    from monitor import logs  # noqa: PLC0415
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.guarded import with_members  # noqa: PLC0415
    from monitor.material.desk import opened  # noqa: PLC0415
    from monitor.serverless.settings import read_either  # noqa: PLC0415

    logs.set_up("critical")  # what is wrong is said here

    async def use() -> T:
        settings = await with_members(read_either(config, os.environ))
        async with opened(settings, load(settings, config)) as desk:
            return await work(desk)

    def whole() -> T:
        coroutine: Coroutine[Any, Any, T] = use()
        return asyncio.run(coroutine)

    return told(whole)


def told(work: "Callable[[], T]") -> T:
    """Errors end the program, in words: 2 for what the caller said, 1 for what KMS or an escrow did."""
    try:
        return work()
    except SettingsError as error:
        fail(*error.faults)
    except MonitorError as error:
        say(str(error))
        raise typer.Exit(1) from None


def say(text: str) -> None:
    from monitor.logs import printable  # noqa: PLC0415

    typer.echo(f"kms-monitor: {printable(text)}", err=True)


def fail(*faults: str) -> NoReturn:
    for fault in faults:
        say(fault)
    raise typer.Exit(2)
