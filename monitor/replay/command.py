"""`kms-monitor replay`: the command line of replay."""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from monitor.errors import SettingsError
from monitor.logs import printable

if TYPE_CHECKING:
    from monitor.replay.run import Request, Result

REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def replay(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A file, a folder, - (standard input), s3://bucket/prefix, lookup, or "
            "lookup:ACCOUNT/REGION.",
            show_default=False,
        ),
    ],
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="KMS_MONITOR_CONFIG",
            help="Judge by these settings; without them by defaults, in every account.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="ISO 8601, or how long ago: 12h, 7d."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="The same; not included.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object per finding and line.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with a timeline.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Note what was read, and go on from there."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Files read at once; default: one per processor."),
    ] = None,
    detectors: Annotated[
        list[str] | None,
        typer.Option("--detector", "-d", metavar="NAME", help="Only this one; may be repeated."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="Of the bucket; of lookup without settings; else only this Region."),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no notes, only errors.")
    ] = False,
) -> None:
    """Look back: the same detection and policy over history. Writes nothing to AWS.

    Exit codes: 0 nothing found; 1 something found, above info; 2 the command line, the settings or
    the resume file are wrong; 3 nothing found, but not everything could be read; 130 ended by
    Ctrl-C, and --resume goes on.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.replay.gathering import processors  # noqa: PLC0415
    from monitor.replay.run import Request  # noqa: PLC0415

    if as_json and html:
        fail(["--json and --html: say which one"])
    if region is not None and not REGION.fullmatch(region):
        fail([f"--region: is {region!r}, but must be a Region such as eu-west-1"])
    request = Request(
        sources=sources,
        config=config,
        start=start,
        end=end,
        resume=resume,
        jobs=jobs or processors(),
        region=region,
        detectors=frozenset(detectors or ()),
    )
    result = run(request, quiet=quiet)
    try:
        report(result, as_json=as_json, html=html, quiet=quiet)
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None  # or its last flush would complain
    except OSError as error:
        fail([f"--html {html}: {error.strerror}"])
    raise typer.Exit(exit_code(result))


def run(request: "Request", *, quiet: bool) -> "Result":
    import asyncio  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from monitor import logs  # noqa: PLC0415
    from monitor.replay.progress import Bar  # noqa: PLC0415
    from monitor.replay.run import Voice, perform  # noqa: PLC0415

    logs.set_up("warning")
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(line: str) -> None:
        # Through rich, which knows where its bar is.
        console.print(f"kms-monitor replay: {printable(line)}", markup=False)

    def note(line: str) -> None:
        if not quiet:
            say(line)

    bar = Bar(console, shown=not quiet)
    try:
        return asyncio.run(perform(request, Voice(bar, note, say)))
    except SettingsError as error:
        fail(error.faults)
    except OSError as error:
        fail([f"{error.filename or 'temporary files'}: {error.strerror}"])
    except KeyboardInterrupt:
        if request.resume is None:
            say("interrupted; with --resume FILE it could go on from there")
        else:
            command = shlex.join(["kms-monitor", *sys.argv[1:]])
            say(f"interrupted; to go on: {command}")
        raise typer.Exit(130) from None


def report(result: "Result", *, as_json: bool, html: Path | None, quiet: bool) -> None:
    from rich.console import Console  # noqa: PLC0415

    from monitor.replay import table  # noqa: PLC0415

    rows = result.judged.rows
    lines = table.summary(result)
    if as_json:
        for row in rows:
            typer.echo(table.json_line(row))
    elif html is not None:
        from monitor.replay.html import page  # noqa: PLC0415

        html.write_text(page(result), encoding="utf-8", errors="replace")
        lines.append(f"written: {html}")
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=table.WIDE)
        if rows:
            table.print_table(rows, console)
        for line in lines:
            console.print(printable(line), markup=False, soft_wrap=True)
        return
    if not quiet:
        for line in lines:
            typer.echo(f"kms-monitor replay: {printable(line)}", err=True)


def exit_code(result: "Result") -> int:
    """See docs/replay.md."""
    if any(row.counts for row in result.judged.rows):
        return 1
    return 3 if result.gathered.unreadable or result.judged.broken else 0


def fail(faults: list[str]) -> NoReturn:
    for fault in faults:
        typer.echo(f"kms-monitor replay: {printable(fault)}", err=True)
    raise typer.Exit(2)
