"""The report as one page that loads nothing: a timeline as SVG, a table, filters.

Every text comes from events, which attackers write, so every one is escaped. Should one slip
through all the same, the page's content security policy lets no script run but the one whose hash
it names, and lets nothing be loaded from anywhere.
"""

import base64
import hashlib
import time
from collections import Counter
from html import escape
from importlib.resources import files
from typing import Final

from monitor.clock import iso
from monitor.event import parse_time
from monitor.finding import Severity
from monitor.key import KeyRef
from monitor.logs import printable
from monitor.replay.judging import Row
from monitor.replay.run import Result
from monitor.replay.table import short, summary

WIDTH, LEFT, RIGHT = 1000, 210, 44
LANE, TOP, BOTTOM = 26, 14, 30
"""Of the timeline, in its own units."""
LANES: Final = 20
"""Keys with a lane of their own; the others share one."""
OTHERS: Final = "all other keys"
LATER: Final = {60: "%H:%M:%S", 3600: "%H:%M", 7 * 86400: "%m-%d %H:%M"}
"""How a tick is written where two are closer than so many seconds; else as a day."""


def page(result: Result) -> str:
    """The whole of it."""
    style, script = asset("page.css"), asset("page.js")
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    rows = result.judged.rows
    lines = "".join(f"<p>{text(line)}</p>" for line in summary(result))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>kms-monitor replay</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Looking back</h1>
<p class="sub">kms-monitor replay, mode {text(result.mode.value)}, written {iso(time.time())}</p>
</header>
<main>
<section class="tiles">{tiles(rows)}</section>
<section class="summary">{lines}</section>
{timeline(rows)}
{filters(rows)}
{table(rows)}
</main>
<script>{script}</script>
</body>
</html>
"""


def asset(name: str) -> str:
    return (files("monitor.replay") / name).read_text(encoding="utf-8")


def digest(content: str) -> str:
    """How a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def text(value: str) -> str:
    """For elements and quoted attributes alike."""
    return escape(printable(value), quote=True)


def tiles(rows: tuple[Row, ...]) -> str:
    found = Counter(row.severity for row in rows)
    return "".join(
        f'<div class="tile {one.word}"><b>{found[one.word]:,}</b><span>{one.word}</span></div>'
        for one in reversed(Severity)
    )


def filters(rows: tuple[Row, ...]) -> str:
    """Boxes to tick, for the script. Without it everything is shown."""
    if not rows:
        return ""
    severities = [one.word for one in reversed(Severity)]
    present = {row.severity for row in rows}
    detectors = sorted({row.detector for row in rows})
    return (
        '<section class="filters" hidden id="filters">'
        + boxes("severity", [one for one in severities if one in present])
        + boxes("detector", detectors)
        + '<label class="search">contains <input type="search" id="contains"'
        ' placeholder="key, actor, event..."></label>'
        '<span id="shown"></span></section>'
    )


def boxes(kind: str, values: list[str]) -> str:
    inner = "".join(
        f'<label><input type="checkbox" checked data-kind="{kind}" value="{text(value)}">'
        f"{text(value)}</label>"
        for value in values
    )
    return f"<fieldset><legend>{kind}</legend>{inner}</fieldset>"


def table(rows: tuple[Row, ...]) -> str:
    if not rows:
        return '<p class="nothing">Nothing was found.</p>'
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("time (UTC)", "severity", "what", "which key", "by whom", "would have done")
    )
    body = "\n".join(table_row(row) for row in rows)
    return f'<table id="findings"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'


def table_row(row: Row) -> str:
    key = KeyRef.parse(row.key_arn)
    place = f"{key.account} {key.region}" if key else f"{row.account} {row.region}"
    day, _, moment = row.event_time.removesuffix("Z").partition("T")
    error = f" &middot; {text(row.error_code)}" if row.error_code else ""
    strong = ' class="calls"' if row.would.startswith("would call") else ""
    return (
        f'<tr data-severity="{row.severity}" data-detector="{text(row.detector)}">'
        f'<td class="time">{text(day)} <b>{text(moment)}</b></td>'
        f'<td><span class="badge {row.severity}">{row.severity}</span></td>'
        f"<td>{text(row.title)}<small>{text(row.event_name)}{error} &middot; {text(row.detector)}"
        f"<br>event {text(row.event_id)}</small></td>"
        f'<td title="{text(row.key_arn)}"><code>{text(key.key_id if key else "unnamed")}</code>'
        f"<small>{text(place)}</small></td>"
        f'<td title="{text(row.actor)}">{text(short(row.actor))}<small>{text(row.source_ip)}'
        f"{' &middot; ' + text(row.tool) if row.tool else ''}</small>"
        f"</td><td{strong}>{text(row.would)}<small>{text(row.decision)}: {text(row.reason)}<br>"
        f'<span class="source">{text(row.source)}</span></small></td></tr>'
    )


def timeline(rows: tuple[Row, ...]) -> str:
    """A lane for each key, the worst ones first, and a dot for what happened to it when."""
    if not rows:
        return ""
    lanes = lane_numbers(rows)
    moments = [parse_time(row.event_time) for row in rows]
    first, last = min(moments), max(moments)
    length = max(last - first, 60.0)
    height = TOP + LANE * (max(lanes.values()) + 1) + BOTTOM
    # Dots that would cover each other are drawn as one: the page stays small however much there is.
    dots: dict[tuple[int, int, str], list[Row]] = {}
    for row, moment in zip(rows, moments, strict=True):
        across = round((moment - first) / length * (WIDTH - LEFT - RIGHT) / 4) * 4
        dots.setdefault((lanes[row.key_arn], across, row.severity), []).append(row)
    labels = {number: arn for arn, number in reversed(lanes.items())}
    shared = Counter(lanes.values())
    parts = [lane(number, OTHERS if shared[number] > 1 else arn) for number, arn in labels.items()]
    parts += [tick(first, length, number, height) for number in range(5)]
    order = {one.word: one for one in Severity}
    for (number, across, severity), same in sorted(
        dots.items(), key=lambda one: (one[0][0], order[one[0][2]])
    ):
        parts.append(dot(number, across, severity, same))
    return (
        '<section class="timeline"><h2>Timeline</h2>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="findings over time, by key">'
        f"{''.join(parts)}</svg></section>"
    )


def lane_numbers(rows: tuple[Row, ...]) -> dict[str, int]:
    """By key: those with most of the worst come first, and what is over shares the last lane."""
    weight: Counter[str] = Counter()
    for row in rows:
        weight[row.key_arn] += 10 ** Severity[row.severity.upper()]
    names = [arn for arn, _ in weight.most_common()]
    return {arn: min(number, LANES) for number, arn in enumerate(names)}


def lane(number: int, arn: str) -> str:
    y = TOP + LANE * number + LANE / 2
    key = KeyRef.parse(arn)
    label = f"{key.key_id[:8]}…{key.key_id[-6:]} {key.region}" if key else arn or "unnamed key"
    return (
        f'<line class="lane" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>'
        f'<text class="key" x="{LEFT - 12}" y="{y + 4}">{text(label[:32])}'
        f"<title>{text(arn)}</title></text>"
    )


def tick(first: float, length: float, number: int, height: int) -> str:
    x = LEFT + (WIDTH - LEFT - RIGHT) * number / 4
    form = next((form for apart, form in LATER.items() if length / 4 < apart), "%Y-%m-%d")
    moment = time.strftime(form, time.gmtime(first + length * number / 4))
    return (
        f'<line class="tick" x1="{x}" y1="{TOP}" x2="{x}" y2="{height - BOTTOM + 4}"/>'
        f'<text class="tick" x="{x}" y="{height - 8}">{moment}</text>'
    )


def dot(number: int, across: int, severity: str, same: list[Row]) -> str:
    radius = 5 if len(same) == 1 else 7
    told = "\n".join(f"{row.event_time} {row.title}; {row.would}" for row in same[:5])
    more = f"\nand {len(same) - 5} more" if len(same) > 5 else ""
    detectors = " ".join(sorted({row.detector for row in same}))
    lines = "\n".join(text(line) for line in (told + more).split("\n"))
    return (
        f'<circle class="dot {severity}" cx="{LEFT + across}"'
        f' cy="{TOP + LANE * number + LANE / 2}" r="{radius}" data-severity="{severity}"'
        f' data-detector="{text(detectors)}"><title>{lines}</title></circle>'
    )
