"""The demo on a terminal, or as JSON lines."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from monitor.logs import printable

if TYPE_CHECKING:
    # Not more than rich is loaded here, so that the first line is on the screen at once.
    from monitor.demo.judge import Ending, Result

WIDTH = 100
WIDTHS = (1, 27, 7, 7, 39, 7)
GAP = "  "
HEAD = ("#", "what", "by", "seen", "what the monitor did", "unsafe")
NUMBERS = {3, 5}
LEGEND = """\
seen: until the monitor's first question about the key, or its notification where it asks nothing
unsafe: from the moment the key was taken out of its right state until KMS had it back in that state"""


class Show(Protocol):
    """Whoever watches."""

    def busy(self, text: str) -> None:
        """Say what is being waited for."""

    def idle(self) -> None:
        """Nothing is being waited for any more."""

    def ready(self, text: str) -> None:
        """Say what is there now."""

    def step(self, result: "Result") -> None:
        """Show one scene."""

    def ending(self, ending: "Ending") -> None:
        """Show how everything stands."""

    def staying(self, info: dict[str, str]) -> None:
        """Say how to take part."""

    def news(self, name: str, message: dict[str, Any]) -> None:
        """Show one notification; `name` is the key's."""

    def over(self, ending: "Ending | None", failed: Sequence[str], seconds: float) -> None:
        """The last word."""


class JsonShow:
    """One object per line on stdout; its `type` says what it is."""

    def write(self, kind: str, members: dict[str, Any]) -> None:
        print(json.dumps({"type": kind} | members), flush=True)  # noqa: T201 - that is the interface

    def busy(self, text: str) -> None:
        pass

    def idle(self) -> None:
        pass

    def ready(self, text: str) -> None:
        pass

    def step(self, result: "Result") -> None:
        self.write("step", msgspec.to_builtins(result) | {"ok": not result.failed})

    def ending(self, ending: "Ending") -> None:
        pass

    def staying(self, info: dict[str, str]) -> None:
        self.write("staying", dict(info))

    def news(self, name: str, message: dict[str, Any]) -> None:
        self.write("notification", {"key": name, "message": message})

    def over(self, ending: "Ending | None", failed: Sequence[str], seconds: float) -> None:
        members: dict[str, Any] = {
            "ok": not failed,
            "failed": list(failed),
            "seconds": round(seconds, 3),
        }
        if ending is not None:
            members |= {
                "mode": ending.mode,
                "keys": [msgspec.to_builtins(one) | {"ok": one.right} for one in ending.keys],
                "steps": len(ending.results),
                "sns": ending.sns,
                "mqtt": ending.mqtt,
                "forged_writes": ending.forged_writes,
                "story": ending.story.get("title", ""),
                "metrics": ending.figures,
                "metrics_url": ending.metrics_url,
                "daemon_exit_code": ending.daemon_exit_code,
            }
        self.write("result", members)


class TextShow:
    """Lines of at most 100 columns; colours and a spinner only on a terminal."""

    def __init__(self, started: float, svg: Path | None = None) -> None:
        self.svg = svg
        plain = Console(highlight=False)
        # Off a terminal rich assumes 80 columns and would break the lines.
        self.console = Console(
            highlight=False,
            soft_wrap=True,
            record=svg is not None,
            width=plain.width if plain.is_terminal and not svg else WIDTH,
        )
        self.started = started
        self.status: Status | None = None
        self.headed = False
        self.line(Text("An attacker against the real daemon, all on this machine.", "bold"))
        self.line()

    def line(self, text: Text | str = "") -> None:
        self.console.print(text if isinstance(text, Text) else Text(text), overflow="ignore")

    def busy(self, text: str) -> None:
        if not self.console.is_terminal or self.svg:
            # Only until the first step: from then on the steps themselves show that it goes on.
            if not self.headed and not self.svg:
                self.line(Text(f"         {text} ...", "dim"))
        elif self.status is None:
            # "line" is the spinner that every terminal can draw.
            self.status = self.console.status(Text(text), spinner="line")
            self.status.start()
        else:
            self.status.update(Text(text))

    def idle(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None

    def ready(self, text: str) -> None:
        elapsed = time.perf_counter() - self.started
        self.line(Text.assemble((f"{elapsed:6.2f} s ", "dim"), text))

    def step(self, result: "Result") -> None:
        if not self.headed:
            self.headed = True
            self.line()
            self.line(Text(columns(HEAD), "bold"))
        style = "red" if result.failed else "green"
        cells = (
            str(result.number),
            result.what,
            result.by,
            "before" if result.setup else seconds_text(result.seen_seconds),
            result.did,
            unsafe_text(result),
        )
        line = Text(columns(cells))
        line.stylize(style, sum(WIDTHS[:4]) + 4 * len(GAP))
        self.line(line)

    def ending(self, ending: "Ending") -> None:
        self.idle()
        self.line(Text(LEGEND, "dim"))
        self.line()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("key", "before", "now", "right?"):
            table.add_column(name, no_wrap=True)
        table.add_column("what was tried")
        for one in ending.keys:
            right = Text("yes", "green") if one.right else Text("NO", "bold red")
            table.add_row(one.key, one.before, one.now, right, one.attacks)
        self.console.print(table)
        self.line()
        count = len(ending.results)
        self.fact("told through SNS", f"{ending.sns} of {count} steps", good=ending.sns == count)
        self.fact("told through MQTT", f"{ending.mqtt} of {count} steps", good=ending.mqtt == count)
        whole = printable(str(ending.story.get("title", "NOTHING"))).partition(" by ")[0]
        good = ending.story.get("severity") == "critical"
        self.fact("told of all that one user did", whole, good=good)
        writes = str(ending.forged_writes)
        self.fact("writes made because of the forged message", writes, good=writes == "0")
        self.fact("metrics", ending.metrics_url)
        for name, figure in ending.figures.items():
            self.fact(f"  {name}", figure)

    def fact(self, name: str, value: str, *, good: bool | None = None) -> None:
        style = {True: "green", False: "bold red", None: ""}[good]
        self.line(Text.assemble(f"{name:<53}", (value, style)))

    def staying(self, info: dict[str, str]) -> None:
        self.line()
        self.line(Text("Everything stays open; Ctrl-C ends it. In another terminal:", "bold"))
        self.line()
        for line in STAY.format(**info).splitlines():
            self.line(f"    {line}")
        self.line()
        self.line(Text("Notifications, as they come:", "bold"))

    def news(self, name: str, message: dict[str, Any]) -> None:
        calls = [call for action in message.get("actions", []) for call in action["calls"]]
        parts = (
            time.strftime("%H:%M:%S"),
            str(message["event"]["name"]),
            name,
            "by " + str(message["actor"]["name"]).rpartition("/")[2],
            str(message["event"]["error_code"]),
            f"-> {message['outcome']}",
            ", ".join(calls),
        )
        self.line("  " + printable(" ".join(part for part in parts if part))[: WIDTH - 2])

    def over(self, ending: "Ending | None", failed: Sequence[str], seconds: float) -> None:
        self.idle()
        if ending is not None and ending.daemon_exit_code is not None:
            code = ending.daemon_exit_code
            self.fact("exit code of the daemon on SIGTERM", str(code), good=not code)
        self.line()
        for sentence in failed:
            self.line(Text(f"FAILED: {sentence}", "bold red"))
        verdict = "It did NOT end as it should" if failed else "Everything ended as it should"
        self.line(
            Text(f"{verdict}, after {seconds:.1f} s.", "bold red" if failed else "bold green")
        )
        if self.svg is not None:
            save_svg(self.console, self.svg)


STAY = """\
export AWS_ENDPOINT_URL={endpoint_url} AWS_DEFAULT_REGION={region} AWS_SECRET_ACCESS_KEY=any
AWS_ACCESS_KEY_ID=mallory aws kms disable-key --key-id {key_id}    # payments
AWS_ACCESS_KEY_ID=admin   aws kms describe-key --key-id alias/payments
mosquitto_sub -p {mqtt_port} -t 'kms-monitor/#' -v
curl {metrics_url}"""


def unsafe_text(result: "Result") -> str:
    unsafe = result.unsafe_seconds
    if unsafe is None:
        return "STILL"
    if result.outcome == "told" and result.kind != "attempt":
        return ""  # the key's state is not what was attacked
    return seconds_text(unsafe) if unsafe else "never"


def seconds_text(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f} s"


def columns(cells: Sequence[str]) -> str:
    """One line; what is longer than its column pushes the rest to the right, nothing is cut."""
    texts = [
        f"{cell:>{width}}" if number in NUMBERS else f"{cell:<{width}}"
        for number, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    ]
    return printable(GAP.join(texts)).rstrip()


def save_svg(console: Console, file: Path) -> None:
    """Write what was shown as a picture for the README, without fonts from elsewhere."""
    from rich._export_format import CONSOLE_SVG_FORMAT  # noqa: PLC0415

    before, _, rest = CONSOLE_SVG_FORMAT.partition("@font-face")
    after = rest[rest.index(".{unique_id}-matrix") :]
    console.save_svg(
        str(file), title="make demo", code_format=before + after, unique_id="kms-monitor-demo"
    )
