"""Draw the panels, from what their queries found in the end-to-end test: make pictures

Drawn by matplotlib, not by Grafana, and each picture says so. Layout, titles, units, colours and numbers are those of the
dashboards; how a line looks is not.

    python -m deploy.grafana.pictures FOUND.json FOLDER
"""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator
from PIL import Image

mpl.use("Agg")
ROW: Final = 0.42
"""Inches for one row of Grafana's grid; its 24 columns are 16 inches wide."""
INK, GROUND, PANEL = "#ccccdc", "#111217", "#181b1f"
COLORS: Final = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
LEGENDS: Final = 6
Found = dict[str, Any]


def said(value: float, unit: str) -> str:
    """A number with its unit, as people say it."""
    if unit == "bool_yes_no":
        return "yes" if value else "no"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        for size, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value * 1000:.3g} ms"
    if unit in {"bytes", "Bps"}:
        return f"{value / 2**20:.3g} MiB" + ("/s" if unit == "Bps" else "")
    return f"{value:.3g}" + ("/s" if unit == "ops" else "")


def values_of(series: Found) -> list[tuple[float, float]]:
    pairs = series.get("values") or [series["value"]]
    return [(at, number) for at, text in pairs if math.isfinite(number := float(text))]


def legend_of(series: Found, panel: Found, number: int) -> str:
    text = str(panel["targets"][number].get("legendFormat", "")) or "__auto"
    if text == "__auto":
        return ", ".join(series["metric"].values())
    for name, value in series["metric"].items():
        text = text.replace("{{" + name + "}}", value)
    return text


def draw_number(axes: Any, panel: Found, found: list[list[Found]]) -> None:
    options = panel["fieldConfig"]["defaults"]
    values = [pair for series in found for one in series for pair in values_of(one)]
    text, color = options.get("noValue", ""), COLORS["green"]
    if values:
        _, latest = max(values)
        whole = options.get("decimals") == 0
        text = f"{latest:.0f}" if whole else said(latest, options["unit"])
        for step in options["thresholds"]["steps"]:
            if step["value"] is None or latest >= step["value"]:
                color = COLORS[step["color"]]
    axes.set_facecolor(color)
    axes.text(0.5, 0.42, text, ha="center", va="center", size=17, color="#000", weight="bold")


def draw_lines(axes: Any, panel: Found, found: list[list[Found]]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    stacked = panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal"
    below: dict[float, float] = defaultdict(float)
    shown = [
        (legend_of(one, panel, number), values_of(one))
        for number, series in enumerate(found)
        for one in series
    ]
    shown.sort(key=lambda one: -max((value for _, value in one[1]), default=-1.0))
    for legend, values in shown:
        if not values:
            continue
        times = [at for at, _ in values]
        tops = [value + (below[at] if stacked else 0.0) for at, value in values]
        label = f"{legend[:38]}  {said(values[-1][1], unit)}" if len(axes.lines) < LEGENDS else None
        (line,) = axes.plot(times, tops, linewidth=1.3, label=label)
        if stacked:
            axes.fill_between(
                times, [below[at] for at in times], tops, alpha=0.25, color=line.get_color()
            )
            below.update(zip(times, tops, strict=True))
    axes.set_ylim(bottom=0)
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: said(value, unit))
    axes.tick_params(colors=INK, labelsize=6, pad=-1, direction="in")
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
    if shown:
        axes.legend(
            fontsize=5.5,
            loc="upper left",
            bbox_to_anchor=(0.0, -0.02),
            ncols=2,
            frameon=False,
            labelcolor=INK,
            borderaxespad=0,
        )


def draw_heat(axes: Any, found: list[list[Found]]) -> None:
    """Buckets hold what is below their bound: what lies in each is the difference to the one below."""
    series = sorted(found[0], key=lambda one: float(one["metric"]["le"]))
    grid = [dict(values_of(one)) for one in series]
    times = sorted({at for one in grid for at in one})
    inside = [
        [row.get(at, 0.0) - (grid[place - 1].get(at, 0.0) if place else 0.0) for at in times]
        for place, row in enumerate(grid)
    ]
    axes.imshow(inside, aspect="auto", origin="lower", cmap="inferno")
    axes.set_xticks([])
    bounds = [float(one["metric"]["le"]) for one in series]
    axes.set_yticks(
        range(len(bounds)), [said(one, "s") if math.isfinite(one) else "∞" for one in bounds]
    )
    axes.tick_params(colors=INK, labelsize=5.5)


def draw_rows(axes: Any, panel: Found, found: list[list[Found]]) -> None:
    options = panel["transformations"][0]["options"]
    order = options["indexByName"]
    columns = dict(sorted(options["renameByName"].items(), key=lambda one: order[one[0]]))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    body = [
        [str(one["metric"].get(name, ""))[:27] for name in columns]
        + [said(values_of(one)[0][1], unit)]
        for one in found[0]
    ]
    if not body:
        axes.text(0.5, 0.5, "none", ha="center", color=INK)
        return
    table = axes.table(
        cellText=body[:12], colLabels=[*columns.values(), ""], bbox=(0.01, 0.02, 0.98, 0.84)
    )
    table.auto_set_font_size(False)
    table.set_fontsize(6)
    table.auto_set_column_width(range(len(columns) + 1))
    for cell in table.get_celld().values():
        cell.set(facecolor=PANEL, edgecolor="#2c3235")
        cell.get_text().set_color(INK)


def draw(panel: Found, found: list[list[Found]], axes: Any) -> None:
    axes.set_facecolor(PANEL)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#2c3235")
    match panel["type"]:
        case "stat":
            draw_number(axes, panel, found)
        case "heatmap":
            draw_heat(axes, found)
        case "table":
            draw_rows(axes, panel, found)
        case _:
            draw_lines(axes, panel, found)
    axes.set_title(panel["title"], loc="left", size=7.5, color=INK, pad=3)


def picture(board: str, panels: dict[int, tuple[Found, list[list[Found]]]], file: Path) -> None:
    """Lay them out as the dashboard does."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels.values()) + 1
    figure = plt.figure(figsize=(16, bottom * ROW), facecolor=GROUND)
    for panel, found in panels.values():
        at = panel["gridPos"]
        # Room for the title above, and under a graph for its legend.
        above, under = 0.75, {"timeseries": 2.4, "heatmap": 0.3}.get(panel["type"], 0.2)
        indent = 1.1 if panel["type"] == "heatmap" else 0.15
        box = (
            (at["x"] + indent) / 24,
            1 - (at["y"] + at["h"] - under) / bottom,
            (at["w"] - indent - 0.15) / 24,
            (at["h"] - above - under) / bottom,
        )
        draw(panel, found, figure.add_axes(box))
    note = f"kms-monitor / {board}: the attack story of the end-to-end test. Drawn by matplotlib from the panels' own queries, not by Grafana."
    figure.text(0.006, 0.3 / bottom, note, color=INK, size=7)
    figure.savefig(file, dpi=85, facecolor=GROUND)
    plt.close(figure)
    with Image.open(file) as drawn:
        small = drawn.convert("RGB").quantize(48)
    small.save(file, optimize=True)


def main(source: Path, folder: Path) -> None:
    """Draw every dashboard of what the test wrote to `source`."""
    boards: dict[str, dict[int, tuple[Found, list[list[Found]]]]] = defaultdict(dict)
    for one in json.loads(source.read_text(encoding="utf-8")):
        panel = one["panel"]
        _, found = boards[one["board"]].setdefault(panel["id"], (panel, []))
        found.append(one["found"])
    folder.mkdir(parents=True, exist_ok=True)
    for board, panels in boards.items():
        picture(board, panels, folder / f"{board}.png")
        print(folder / f"{board}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
