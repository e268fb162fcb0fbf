"""The commands `kms-monitor baseline {show,diff,accept}`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.command_store import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    fail,
    settings_now,
    with_store,
    write_down,
)
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.baseline import Baseline
    from monitor.key import KeyRef, KeySnapshot
    from monitor.ledger import Store
    from monitor.settings import Settings

baseline = typer.Typer(help="How keys should be: look, compare, set.", no_args_is_help=True)
KeyArgument = Annotated[str, typer.Argument(metavar="ARN", help="The key's ARN.")]
Rows = list[tuple[str, ...]]
LONGEST = 60
"""Characters of a value in a table; JSON has it whole."""


@baseline.command(epilog="Example: kms-monitor baseline show --json")
def show(
    key: KeyArgument = "", config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """Show how one key should be, or which keys are known.

    Exit codes: 0 all is well; 1 the key has no baseline; 2 the settings or the command line are wrong.
    """
    import msgspec  # noqa: PLC0415

    from monitor.baseline import Origin  # noqa: PLC0415

    wanted = key_of(key, config) if key else None

    async def work(store: "Store") -> "list[Baseline]":
        if wanted is None:
            return await store.baselines()
        found = await store.baseline(wanted)
        return [found] if found else []

    found = with_store(config, work)
    if as_json:
        for one in found:
            typer.echo(msgspec.json.encode(one))
    elif not found:
        typer.echo(f"{wanted} has no baseline" if wanted else "no key is known yet", err=True)
    elif wanted is not None:
        print_rows(("part", "should be", "since", "origin", "damaged"), parts_of(found[0]))
    else:
        chosen = {Origin.ACCEPTED, Origin.PEOPLE}
        rows: Rows = [
            (
                one.key.arn,
                str(one.state or "not known"),
                str(len(one.registers)),
                str(sum(register.origin in chosen for register in one.registers.values())),
            )
            for one in found
        ]
        print_rows(("key", "state", "parts", "accepted"), rows)
    if wanted is not None and not found:
        raise typer.Exit(1)


@baseline.command(epilog="Example: kms-monitor baseline diff")
def diff(
    key: KeyArgument = "", config: ConfigOption = DEFAULT_CONFIG, *, as_json: JsonOption = False
) -> None:
    """Compare one key, or all that are known, with how they should be.

    Exit codes: 0 nothing differs; 1 something does, or cannot be read; 2 the settings or the command
    line are wrong.
    """
    import msgspec  # noqa: PLC0415

    wanted, settings = key_of(key, config) if key else None, settings_now(config)

    async def work(store: "Store") -> "list[tuple[Baseline, KeySnapshot | None, str]]":
        found = await store.baselines() if wanted is None else [await store.baseline(wanted)]
        known = [one for one in found if one is not None]
        return await look_at(known, settings)

    compared = with_store(config, work)
    if wanted is not None and not compared:
        fail(f"{wanted} has no baseline", 1)
    worse = False
    for known, live, problem in compared:
        found = differences_of(known, live)
        worse = worse or bool(found) or bool(problem)
        if as_json:
            parts = {name: {"should_be": should, "is": does} for name, should, does in found}
            about = {"key": known.key.arn, "parts": parts, "problem": problem}
            typer.echo(msgspec.json.encode(about))
            continue
        if wanted is None and (found or problem):
            typer.echo(known.key.arn)
        if problem:
            typer.echo(f"cannot be read: {problem}", err=True)
        if found:
            rows: Rows = [(name, short(should), short(does)) for name, should, does in found]
            print_rows(("part", "should be", "is"), rows)
    if not worse and not as_json:
        typer.echo("nothing differs", err=True)
    raise typer.Exit(1 if worse else 0)


@baseline.command(
    epilog="Example: kms-monitor baseline accept ARN --part tag/Owner --reason CHG-4711"
)
def accept(
    key: KeyArgument,
    reason: Annotated[str, typer.Option(help="Why; the action log keeps it.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    part: Annotated[
        list[str], typer.Option(help="Only parts whose name begins so, such as tag/ or policy.")
    ] = [],  # noqa: B006 -- typer's way; nobody changes it
    state: Annotated[
        str, typer.Option(help="Enabled or Disabled: this state is right, whether it is so or not.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Even a key of never_approve.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a key right as it is now.

    Exit codes: 0 it is done; 1 the key cannot be read; 2 the settings or the command line are wrong,
    or the key is one of never_approve.
    """
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from monitor.baselines import Baselines  # noqa: PLC0415
    from monitor.knowledge import Knowledge  # noqa: PLC0415

    settings, wanted = settings_now(config), key_of(key, config)
    if state not in {"", "Enabled", "Disabled"}:
        fail("--state: must be Enabled or Disabled", 2)

    async def work(store: "Store") -> list[tuple[str, Any, Any]]:
        from monitor import deeds  # noqa: PLC0415
        from monitor.baseline import Baseline, Origin  # noqa: PLC0415
        from monitor.register import STATE  # noqa: PLC0415

        known = await store.baseline(wanted)
        _, live, problem = (await look_at([known or Baseline(wanted)], settings))[0]
        if live is None:
            fail(f"{wanted} cannot be read: {problem}", 1)
        if not force and settings.never_approve.holds(wanted, live.aliases, live.tags):
            fail(f"{wanted} is never to be approved for: see never_approve; or use --force", 2)
        changes = accepting(known, live, part, state)
        baselines = Baselines(store, Knowledge())
        before = {name: known.value(name) if known else None for name in changes}
        await baselines.accept(wanted, changes, time.time(), origin=Origin.PEOPLE)
        if known is None and not state and not part:
            await baselines.sighted(live)
        done = [(name, before[name], changes[name]) for name in sorted(changes)]
        if done:
            said = ", ".join(f"{name}: {short(was)} -> {short(now)}" for name, was, now in done)
            await write_down(store, deeds.baseline_accepted(wanted, f"{reason}: {said}"))
        return [one for one in done if one[1] != one[2] or one[0] == STATE]

    done = with_store(config, work)
    for name, was, now in done:
        if as_json:
            typer.echo(msgspec.json.encode({"part": name, "was": was, "is": now}))
        else:
            typer.echo(f"{name}: {short(was)} -> {short(now)}")
    if not done:
        typer.echo("nothing was other than it should be", err=True)


def accepting(
    known: "Baseline | None", live: "KeySnapshot", parts: list[str], state: str
) -> dict[str, Any]:
    """The registers to be set, and their values: what differs, and the state that was asked for."""
    from monitor.baseline import Baseline, worth_keeping  # noqa: PLC0415
    from monitor.register import STATE  # noqa: PLC0415

    found = differences_of(known or Baseline(live.key), live)
    changes = {
        name: does
        for name, _, does in found
        if not parts or any(name.startswith(one) for one in parts)
    }
    if state:
        # Whoever names a state and no part means the state alone.
        return {STATE: state} if not parts else {**changes, STATE: state}
    if not worth_keeping(live.state):
        changes.pop(STATE, None)
    return changes


def differences_of(known: "Baseline", live: "KeySnapshot | None") -> list[tuple[str, Any, Any]]:
    from monitor.repair.difference import differences  # noqa: PLC0415

    found = differences(live, known) if live is not None else {}
    return [(name, should, does) for name, (should, does) in found.items()]


async def look_at(
    known: "list[Baseline]", settings: "Settings"
) -> "list[tuple[Baseline, KeySnapshot | None, str]]":
    """Each with the live key, or why it cannot be read."""
    from monitor.assembly import make_aws  # noqa: PLC0415
    from monitor.clock import SystemClock  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415
    from monitor.repair.live import LiveKeys  # noqa: PLC0415

    found: list[tuple[Baseline, KeySnapshot | None, str]] = []
    async with make_aws(settings, Metrics()) as aws:
        keys = LiveKeys(aws, SystemClock())
        for one in known:
            try:
                live, failures = await keys.read_whole(await keys.read(one.key))
            except MonitorError as error:
                found.append((one, None, str(error)))
            else:
                found.append((one, live, "; ".join(map(str, failures.values()))))
    return found


def parts_of(known: "Baseline") -> Rows:
    from monitor.clock import iso  # noqa: PLC0415

    return [
        (
            name,
            short(one.value),
            iso(one.as_of) if one.as_of else "",
            one.origin.value,
            iso(one.damaged_at) if one.damaged_at else "",
        )
        for name, one in sorted(known.registers.items())
    ]


def short(value: Any) -> str:
    """A value for people: one line, not long."""
    from monitor.logs import printable  # noqa: PLC0415

    match value:
        case None:
            return "-"
        case True:
            return "yes"
        case dict():
            operations = ", ".join(value.get("operations", ()))
            text = f"{value.get('grantee', '')} may {operations}"
        case _:
            text = str(value)
    text = printable(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def print_rows(titles: tuple[str, ...], rows: Rows) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(width=250, highlight=False, markup=False)
    console.print(table)


def key_of(text: str, config: Path) -> "KeyRef":
    """The key of an ARN; ends the program where it is none of ours."""
    from monitor.key import KeyRef  # noqa: PLC0415

    key = KeyRef.parse(text)
    if key is None:
        fail("ARN: must be a key's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID", 2)
    if (key.account, key.region) not in settings_now(config).places:
        fail(f"ARN: {key} is in no account and Region of the settings", 2)
    return key
