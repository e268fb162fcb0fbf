"""What mkdocs does not know of this repository: links that lead out of `docs/`.

Pages are written to be read in the repository, too, so they link to files beside `docs/`. Those files come
along, below `files/`, so that a copy of the site needs no address of ours: a file as it is, a folder as a
list. Markdown that lives elsewhere becomes a page.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT: Final = Path(__file__).parent.parent
FILES: Final = "files"
PAGES: Final = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "deploy/helm/kms-monitor/README.md": "reference/chart.md",
}
"""Pages of the site whose source is not in `docs/`: path in the repository, path in the site."""

LINK: Final = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
NAMED: Final = re.compile(r"\[[\w./-]+\.md\]\(([^)\s#]+\.md)(#[^)\s]*)?\)")
"""A link that is called by its file, as is the custom of a repository; a site's readers know titles."""
HEADING: Final = re.compile(r"^# (.+)$", re.MULTILINE)
BACKGROUND: Final = re.compile(r"^```sh background$", re.MULTILINE)
"""A mark for the tests that follow a page; superfences would not know it."""

Source = tuple[str, str]
"""Where a page is in the repository, and what it says."""

titles: Final[dict[str, str]] = {}
"""Of every page, by its path in the repository; as of the last build."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from elsewhere, and whatever any page links to outside `docs/`."""
    sources: list[Source] = [
        (f"docs/{page.src_uri}", page.content_string) for page in files.documentation_pages()
    ]
    for path, uri in PAGES.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        sources.append((path, text))
        files.append(File.generated(config, uri, content=text))
    for path, text in sources:
        heading = HEADING.search(text)
        titles[path] = heading[1] if heading else path
    wanted = {target for source in sources for target in linked(*source) if outside(target)}
    for target in sorted(wanted):
        for one in added(target, config):
            if one.src_uri not in files.src_uris:
                files.append(one)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links as they are in the site."""
    back = {uri: path for path, uri in PAGES.items()}
    uri = page.file.src_uri
    if uri.startswith(f"{FILES}/"):
        return markdown
    return rewritten(BACKGROUND.sub("```sh", markdown), back.get(uri, f"docs/{uri}"), uri)


def linked(path: str, text: str) -> list[str]:
    """The places in the repository that a page links to."""
    return [resolved(path, match[2]) for match in LINK.finditer(text) if not is_address(match[2])]


def rewritten(text: str, path: str, uri: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        if is_address(match[2]):
            return match[0]
        target = in_site(resolved(path, match[2]))
        link = posixpath.relpath(target, posixpath.dirname(uri) or ".")
        return f"{match[1]}{link}{match[3] or ''}{match[4]}"

    return LINK.sub(replaced, titled(text, path))


def titled(text: str, path: str) -> str:
    """The text with links called by their pages' titles."""

    def replaced(match: re.Match[str]) -> str:
        title = titles.get(resolved(path, match[1]))
        return f"[{title}]({match[1]}{match[2] or ''})" if title else match[0]

    return NAMED.sub(replaced, text)


def resolved(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def is_address(link: str) -> bool:
    return "://" in link or link.startswith("mailto:")


def outside(target: str) -> bool:
    return not target.startswith("docs/") and target not in PAGES


def in_site(target: str) -> str:
    """The path of a page or file in the site, by its path in the repository."""
    if not outside(target):
        return PAGES.get(target, target.removeprefix("docs/"))
    return f"{FILES}/{target}/index.md" if (ROOT / target).is_dir() else f"{FILES}/{target}"


def added(target: str, config: Any) -> list[File]:
    """A file of the repository; of a folder also its list. What is not there is left for mkdocs to say."""
    place = ROOT / target
    if place.is_file():
        if place.suffix == ".md":
            raise PluginError(f"{target}: name its page in PAGES of manual/hook.py")
        return [File.generated(config, f"{FILES}/{target}", abs_src_path=str(place))]
    if not place.is_dir():
        return []
    names = sorted(
        str(one.relative_to(place))
        for one in place.rglob("*")
        if one.is_file() and "__pycache__" not in one.parts
    )
    text = f"---\nsearch: {{exclude: true}}\n---\n\n# {target}\n\n"
    text += "".join(f"* [{name}]({name})\n" for name in names)
    below = [
        File.generated(config, f"{FILES}/{target}/{name}", abs_src_path=str(place / name))
        for name in names
    ]
    return [File.generated(config, f"{FILES}/{target}/index.md", content=text), *below]
