"""Commands of others' programs on our pages: that the programs, metrics and labels know what is typed there.

Our own commands and metrics are tests/unit/test_manual.py's to look at, what a whole page does tests/real's.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests import aws_command
from tests.promql import faults, grouped_by
from tests.unit.test_alerts import ALERTS, RECORDED, RUNBOOKS

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
GLOBAL = {"region", "output", "query", "profile", "endpoint-url", "no-cli-pager", "no-paginate"}
GLOBAL |= {"cli-binary-format"}  # of version 2 alone, which users have
PAGING = {"max-items", "page-size", "starting-token"}
INLINE = re.compile(r"`aws ([a-z0-9-]+ [a-z]+-[a-z-]+[^`]*)`")
"""In a sentence, where what is known already may be left out."""
WHOLE = {"cli-input-json", "cli-input-yaml"}
"""In which every option may stand."""

NEVER_SILENT = {"KmsMonitorDeletionDeadlineNear", "KmsMonitorWatchdog"}


def shell(page: Path) -> str:
    """All shell blocks of a page, one command a line."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks).replace("\\\n", " ")


def asked_of_aws() -> list[tuple[str, str]]:
    """Every `aws ...` in shell blocks, without what stands inside it, and where it is."""
    # At the start, behind a variable for it alone, in `$(...)`, or behind another command.
    begins = re.compile(r"(?:^|[(;&|] *|\w=\S+ )aws ([^|;&()\n]*)", re.MULTILINE)
    return [(page.name, one.strip()) for page in PAGES for one in begins.findall(shell(page))]


def test_the_aws_command_knows_what_is_asked_of_it() -> None:
    asked = asked_of_aws()
    hints = [(page.name, one) for page in PAGES for one in INLINE.findall(page.read_text("utf-8"))]
    assert len(asked) > 50
    assert len(hints) > 10
    split = {line: re.sub(r"'[^']*$", "", line).split() for _, line in [*asked, *hints]}
    known = aws_command.known((words[0], words[1]) for words in split.values())
    for page, line in [*asked, *hints]:
        service, operation, *words = split[line]
        assert (service, operation) in known, (page, line)
        found = known[service, operation]
        options = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
        assert options <= {*found.options, *GLOBAL, *PAGING}, (page, line)
        complete = (page, line) not in hints and not options & WHOLE and line[-1] not in "${"
        assert not complete or found.needed <= options, (page, line)


@pytest.mark.parametrize("page", RUNBOOKS.values(), ids=lambda page: page.stem)
def test_what_a_runbook_asks_prometheus_is_a_question(page: Path) -> None:
    for query in re.findall(r"promtool query instant \S+ '([^']*)'", shell(page)):
        assert faults(query, RECORDED) == []


@pytest.mark.parametrize("page", RUNBOOKS.values(), ids=lambda page: page.stem)
def test_a_silence_is_about_labels_that_the_alert_has(page: Path) -> None:
    """One that matches nothing is taken without a word, and the pager goes on."""
    lines = [one for one in shell(page).splitlines() if one.startswith("amtool silence add")]
    if page.stem in NEVER_SILENT:
        assert not lines
        return
    (line,) = lines
    matchers = dict(word.split("=", 1) for word in shlex.split(line)[3:] if re.match(r"\w+=", word))
    assert matchers.pop("alertname") == page.stem
    recorded = {"source"} if "message_age" in ALERTS[page.stem]["expr"] else set()
    assert matchers.keys() <= grouped_by(ALERTS[page.stem]["expr"]) | recorded
    assert {"--author", "--comment", "--duration"} <= set(shlex.split(line))
