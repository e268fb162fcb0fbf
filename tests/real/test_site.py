"""The documentation site, built by the real mkdocs: it is whole, and loads nothing from elsewhere."""

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.real.services import require
from tests.real.shell import ROOT, copy_tree

LOADS = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("img", "srcset"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("embed", "src"),
    ("object", "data"),
}
"""What a browser fetches to show a page; `a href` it fetches only for who clicks."""


class Page(HTMLParser):
    """What a page loads, where it leads to, and by which names it can be reached."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.classes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            match name, value:
                case (("id" | "name"), str()):
                    self.names.add(value)
                case "class", str():
                    self.classes |= set(value.split())
                case "href", str() if tag == "a":
                    self.links.append(value)
                case _, str() if (tag, name) in LOADS:
                    self.loads.append(value)


def built(folder: Path) -> dict[str, Page]:
    """Every page of the site by its path, such as `dlq/index.html`."""
    return {
        str(file.relative_to(folder)): Page(file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.html"))
        if "files" not in file.relative_to(folder).parts[:1]
    }


def build(tree: Path, folder: Path) -> tuple[int, str]:
    """As `make docs` does it: the exit code, and what mkdocs has to say."""
    done = subprocess.run(
        [require(str(ROOT / ".venv-docs" / "bin" / "mkdocs")), "build", "--site-dir", str(folder)],
        cwd=tree,
        check=False,
        capture_output=True,
        text=True,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    code, said = build(ROOT, folder)
    assert code == 0, said
    return folder


pytestmark = pytest.mark.real


def elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = built(site)
    assert len(pages) > 80
    for name, page in pages.items():
        assert [one for one in page.loads if elsewhere(one)] == [], name
        assert page.loads, name
        # What the theme's script would fetch from a CDN if a page asked for it.
        assert not page.classes & {"mermaid", "arithmatex"}, name
    for sheet in site.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", sheet.read_text("utf-8")):
            assert not elsewhere(address), (sheet.name, address)


def test_every_link_within_the_site_leads_to_a_place_that_is_there(site: Path) -> None:
    """mkdocs looks at the links of Markdown; this looks at what came of all of them, menus included."""
    pages = built(site)
    checked = 0
    for name, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            file = target / "index.html" if target.is_dir() else target
            assert file.is_file(), (name, link)
            where = str(PurePosixPath(file.resolve().relative_to(site.resolve())))
            if parts.fragment and where in pages and parts.fragment != "__tabbed":
                assert unquote(parts.fragment) in pages[where].names, (name, link)
            checked += 1
    assert checked > 5000


def test_the_build_fails_for_what_leads_nowhere(tmp_path: Path) -> None:
    require(str(ROOT / ".venv-docs" / "bin" / "mkdocs"))
    tree = tmp_path / "tree"
    copy_tree(tree)
    with (tree / "docs" / "index.md").open("a") as page:
        page.write("[a](nowhere.md) [b](dlq.md#nothing) [c](../deploy/none.yaml)\n")
    (tree / "docs" / "left-out.md").write_text("# Left out\n")
    code, said = build(tree, tmp_path / "site")
    assert code == 1
    for wrong in ("nowhere.md", "#nothing", "deploy/none.yaml", "left-out.md"):
        assert wrong in said


def test_every_runbook_is_at_the_address_of_its_alert(site: Path) -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/kms-monitor.rules.yaml").read_text("utf-8"))
    alerts = [one for group in rules["groups"] for one in group["rules"] if "alert" in one]
    for alert in alerts:
        path = urlsplit(alert["annotations"]["runbook_url"]).path
        assert (site / path.strip("/") / "index.html").is_file(), path


def test_the_search_has_every_part_of_the_site(site: Path) -> None:
    """It is a file beside the pages, and a script of the theme's reads it: no service is asked."""
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = {one["location"].partition("#")[0] for one in index["docs"]}
    for place in ("quickstart/", "dlq/", "reference/settings/", "threat-model/", "changelog/"):
        assert place in found
    assert not any(place.startswith("files/") for place in found)
    text = " ".join(one["text"] for one in index["docs"])
    assert "kms_monitor_event_to_safe_seconds" in text
