"""`python -m monitor.simulator`: the command without the rest of kms-monitor."""

import typer

from monitor.simulator.command import simulate

typer.run(simulate)
