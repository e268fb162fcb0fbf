"""All benchmarks, one after another; arguments go to pyperf, such as `--rigorous`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pyperf
from rich.console import Console
from rich.table import Table

SUITES = {
    "micro": ("One message of 1.7 KB", "json.loads of the body (baseline)"),
    "detect": ("One event of a mixed stream, once it is decoded", "five bare ifs (baseline)"),
}
"""By the module: what one operation is about, and the benchmark that the others are compared with."""


def main() -> int:
    for name in SUITES:
        if code := compare(name):
            return code
    for name in ("respond", "serverless", "quota", "accounts", "backfill", "backlog"):
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if code := subprocess.run(command, check=False).returncode:
            return code
    return 0


def compare(name: str) -> int:
    """Run one suite of pyperf's and show its medians; its exit code."""
    title, baseline = SUITES[name]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.json"
        arguments = sys.argv[1:] or ["--fast"]
        command = [sys.executable, "-m", f"benchmarks.{name}", "--quiet", "-o", str(out)]
        if code := subprocess.run([*command, *arguments], check=False).returncode:
            return code
        suite = pyperf.BenchmarkSuite.load(str(out))
    medians = {bench.get_name(): bench.median() for bench in suite}
    table = Table("what", "median", "a second", "times the baseline's speed", title=title)
    for bench, median in medians.items():
        ratio = f"{medians[baseline] / median:.3g}"
        table.add_row(bench, f"{median * 1e6:.2f} us", f"{1 / median:,.0f}", ratio)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
