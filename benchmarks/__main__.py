"""All benchmarks, one after another; arguments go to pyperf, such as `--rigorous`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pyperf
from rich.console import Console
from rich.table import Table

BASELINE = "json.loads of the body (baseline)"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "micro.json"
        arguments = sys.argv[1:] or ["--fast"]
        command = [sys.executable, "-m", "benchmarks.micro", "--quiet", "-o", str(out), *arguments]
        if code := subprocess.run(command, check=False).returncode:
            return code
        suite = pyperf.BenchmarkSuite.load(str(out))
    medians = {bench.get_name(): bench.median() for bench in suite}
    table = Table("what", "median", "times as fast as the baseline", title="One message of 1.7 KB")
    for name, median in medians.items():
        table.add_row(name, f"{median * 1e6:.2f} us", f"{medians[BASELINE] / median:.2f}")
    Console().print(table)
    for name in ("respond", "backfill", "backlog"):
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if code := subprocess.run(command, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
