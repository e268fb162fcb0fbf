"""What the dashboards are made of: variables, links, and one function for each kind of panel.

`grafana-foundation-sdk` knows Grafana's JSON. Here stands only what all our panels have in common: the
data source is a variable, every rate is over `$__rate_interval`, each panel says what good looks like,
and leads to the runbooks that belong to it.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

RUNBOOKS: Final = "https://kms-monitor.example.org/runbooks"
"""As in the alert rules: a placeholder for the address of your copy of docs/runbooks."""
TAG: Final = "kms-monitor"
SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
OURS: Final = 'cluster=~"$cluster",job=~"$job"'
PLACE: Final = f'{OURS},account=~"$account",region=~"$region"'
"""For what has an account and a Region. Both are matchers for the inside of braces."""
BLUE, GREEN, ORANGE, RED = "blue", "green", "orange", "red"
MORE_IS_BAD: Final = ((None, GREEN), (1.0, RED))
LESS_IS_BAD: Final = ((None, RED), (1.0, GREEN))
MARKS: Final = (
    (
        "Critical alerts",
        RED,
        f'ALERTS{{alertname=~"KmsMonitor.*",alertstate="firing",severity="critical",{OURS}}}',
    ),
    # Grafana asks once for each minute.
    (
        "Starts",
        BLUE,
        f"kms_monitor_build_info{{{OURS}}} and on (cluster, job, instance) time() - process_start_time_seconds{{{OURS}}} < 60",
    ),
    (
        "Settings taken",
        GREEN,
        f"time() - kms_monitor_settings_last_reload_timestamp_seconds{{{OURS}}} < 60",
    ),
)
"""What is marked on every panel: name, colour, query."""
Steps = Sequence[tuple[float | None, str]]
Query = str | tuple[str, str]
"""PromQL, perhaps with the text of its legend."""


def rate(metric: str, by: str = "", also: str = "", where: str = OURS) -> str:
    """So many a second, by the labels named in `by`."""
    return _counted("rate", metric, by, also, where)


def increase(metric: str, by: str = "", also: str = "", where: str = OURS) -> str:
    """So many within each step that is shown: for what happens seldom, a rate says nothing."""
    return _counted("increase", metric, by, also, where)


def _counted(function: str, metric: str, by: str, also: str, where: str) -> str:
    inside = f"{also},{where}" if also else where
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}({function}(kms_monitor_{metric}{{{inside}}}[$__rate_interval]))"


def within(metric: str, also: str = "", where: str = OURS) -> str:
    """So many in all the time that is shown."""
    inside = f"{also},{where}" if also else where
    return f"sum(increase(kms_monitor_{metric}{{{inside}}}[$__range]))"


def quantile(part: float, metric: str, by: str = "", where: str = OURS) -> str:
    """Of a histogram in seconds."""
    labels = f"le, {by}" if by else "le"
    rates = f"rate(kms_monitor_{metric}_bucket{{{where}}}[$__rate_interval])"
    return f"histogram_quantile({part:g}, sum by ({labels}) ({rates}))"


def quantiles(metric: str, where: str = OURS) -> list[Query]:
    return [(quantile(part, metric, where=where), f"p{part * 100:g}") for part in (0.5, 0.95, 0.99)]


def shared(metric: str, by: str = "", also: str = "", where: str = OURS, *, over: str = "") -> str:
    """A gauge of which every replica shows the same, because they share a store.

    `over`: all its labels, where they are not those of `by`, so that the replicas alone are not added.
    """
    inside = f"{also},{where}" if also else where
    labels = ", ".join(filter(None, ("cluster, job", over or by)))
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(max by ({labels}) (kms_monitor_{metric}{{{inside}}}))"


def age(metric: str, by: str = "", where: str = PLACE) -> str:
    """Seconds since a time that is a metric; nothing where it has never been."""
    grouped = f"max by ({by}) " if by else "max"
    return f"time() - {grouped}(kms_monitor_{metric}_timestamp_seconds{{{where}}} > 0)"


def _legend(expression: str) -> str:
    """Of the outermost `by`: its labels are those that are left at the end."""
    grouped = re.search(r"\bby \(([^)]*)\)", expression)
    labels = [one for one in grouped[1].split(", ") if one != "le"] if grouped else []
    return " ".join(f"{{{{{one}}}}}" for one in labels)


def _targets(queries: Sequence[Query], *, instant: bool = False) -> list[Any]:
    built = []
    for number, query in enumerate(queries):
        expression, legend = query if isinstance(query, tuple) else (query, "")
        one = prometheus.Dataquery().expr(expression).datasource(SOURCE).ref_id(chr(65 + number))
        one = one.legend_format(legend or "__auto")
        built.append(one.instant().format(PromQueryFormat.TABLE) if instant else one.range())
    return built


def _runbooks(names: Sequence[str]) -> list[Any]:
    return [
        dashboard.DashboardLink(f"Runbook: {name}")
        .type(models.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{name}/")
        .target_blank(True)
        for name in names
    ]


def _dress(
    panel: Any, title: str, text: str, unit: str, size: tuple[int, int], *, runbooks: Sequence[str]
) -> Any:
    width, height = size
    return (
        panel.title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(height)
        .links(_runbooks(runbooks))
    )


def _thresholds(steps: Steps) -> Any:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in steps])
    )


def number(
    title: str,
    text: str,
    query: str,
    unit: str = "short",
    steps: Steps = ((None, GREEN),),
    *,
    runbooks: Sequence[str] = (),
    none: str = "none",
    width: int = 4,
) -> Any:
    """One number, the latest, coloured by how bad it is. `none` stands for no series at all."""
    panel = (
        stat.Panel()
        .targets(_targets([query]))
        .thresholds(_thresholds(steps))
        .color_mode(BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(BigValueGraphMode.AREA if unit != "bool_yes_no" else BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .no_value(none)
    )
    if unit == "short":
        # What `increase` says of whole things is no whole number: it goes on to the edges of the time.
        panel = panel.decimals(0)
    return _dress(panel, title, text, unit, (width, 4), runbooks=runbooks)


def lines(
    title: str,
    text: str,
    queries: Sequence[Query],
    unit: str = "short",
    *,
    stacked: bool = False,
    runbooks: Sequence[str] = (),
    width: int = 8,
) -> Any:
    """What it was over time. Lines without a legend are named by the labels that they are grouped by."""
    named = [one if isinstance(one, tuple) else (one, _legend(one)) for one in queries]
    panel = (
        timeseries.Panel()
        .targets(_targets(named))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .min(0)
        .fill_opacity(25 if stacked else 8)
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return _dress(panel, title, text, unit, (width, 8), runbooks=runbooks)


def heat(title: str, text: str, metric: str, *, width: int = 12) -> Any:
    """How a time is spread, over time: one slow event in a thousand is seen, too."""
    rates = f"sum by (le) (increase(kms_monitor_{metric}_bucket{{{OURS}}}[$__rate_interval]))"
    target = prometheus.Dataquery().expr(rates).datasource(SOURCE).ref_id("A").range()
    panel = (
        heatmap.Panel()
        .targets([target.legend_format("{{le}}").format(PromQueryFormat.HEATMAP)])
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .hide_legend()
    )
    return _dress(panel, title, text, "s", (width, 8), runbooks=())


def rows(
    title: str,
    text: str,
    query: str,
    unit: str = "short",
    *,
    columns: dict[str, str],
    runbooks: Sequence[str] = (),
    width: int = 12,
) -> Any:
    """A table of what is now: `columns` are the labels to show, with their headings, in order."""
    shown = {name: position for position, name in enumerate([*columns, "Value"])}
    excluded = {"Time": True, "__name__": True, "instance": True, "job": "job" not in columns}
    hidden = {name: True for name, out in excluded.items() if out}
    organize = models.DataTransformerConfig(
        id_val="organize",
        options={"excludeByName": hidden, "indexByName": shown, "renameByName": columns},
    )
    panel = table.Panel().targets(_targets([query], instant=True)).with_transformation(organize)
    return _dress(panel.no_value("none"), title, text, unit, (width, 8), runbooks=runbooks)


def _choice(name: str, label: str, of: str) -> Any:
    every = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": of, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        # Also what has no such label: most have no `cluster` until somebody adds one.
        .all_value(".*")
        .current(every)
    )


def board(uid: str, title: str, text: str, content: dict[str, Sequence[Any]]) -> Any:
    """A whole dashboard: by the title of each row, its panels."""
    link = dashboard.DashboardLink
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            _choice("cluster", "Cluster", "label_values(kms_monitor_build_info, cluster)")
        )
        .with_variable(
            _choice("job", "Job", 'label_values(kms_monitor_build_info{cluster=~"$cluster"}, job)')
        )
        .with_variable(
            _choice(
                "account",
                "Account",
                f"label_values(kms_monitor_last_sweep_timestamp_seconds{{{OURS}}}, account)",
            )
        )
        .with_variable(
            _choice(
                "region",
                "Region",
                f'label_values(kms_monitor_last_sweep_timestamp_seconds{{{OURS},account=~"$account"}}, region)',
            )
        )
        .link(
            link(TAG)
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
        .link(link("Runbooks").type(models.DashboardLinkType.LINK).url(f"{RUNBOOKS}/"))
    )
    for name, colour, expression in MARKS:
        made = made.annotation(
            dashboard.AnnotationQuery()
            .name(name)
            .datasource(SOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(expression)
        )
    for heading, panels in content.items():
        made = made.with_row(dashboard.Row(heading))
        for panel in panels:
            made = made.with_panel(panel)
    built = made.build()
    for place, panel in enumerate(built.panels or [], 1):
        panel.id_val = place
    return built
