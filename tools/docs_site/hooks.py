"""What MkDocs is told beyond its configuration: sections of whole folders, and links that lead out of the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from mkdocs.utils.templates import TemplateContext

NOT_FOUND = "404.html"
ROOT = "/docs"
"""Where the services show the site: `PREFIX` of sdk.testnet.services.docs."""
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)\s]+)\)")
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write sections out: one that names a folder has its pages in the order of their file names, one that lists pages gets the others of their folder."""
    docs = Path(config.docs_dir)
    config.nav = [_section(entry, docs) for entry in config.nav or []]
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names the arguments
    """Make a link to a file of the repository that is no page its name: the site has pages only."""
    here = Path(config.docs_dir).resolve() / Path(page.file.src_uri).parent

    def replace(found: re.Match[str]) -> str:
        text, target = found.groups()
        path = (here / target.partition("#")[0]).resolve()
        if path.is_relative_to(Path(config.docs_dir).resolve()):
            return found.group()
        name = path.relative_to(Path(config.docs_dir).resolve().parent).as_posix()
        return f"`{name}`" if text.strip("`") in (name, path.name) else f"{text} (`{name}` in the repository)"

    return _LINK.sub(replace, markdown)


def on_template_context(
    context: TemplateContext,
    template_name: str,
    config: MkDocsConfig,  # noqa: ARG001 - MkDocs names the arguments
) -> TemplateContext:
    """Let the page for what is not there name everything from the root: it is shown at addresses of any depth, where a relative link leads astray."""
    if template_name == NOT_FOUND:
        context["base_url"] = ROOT
    return context


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - MkDocs names the arguments
    """Let keyboards reach what scrolls sideways on a narrow screen."""
    return html.replace("<pre>", '<pre tabindex="0">')


def _section(entry: Any, docs: Path) -> Any:
    ((name, target),) = entry.items()
    if isinstance(target, list):
        # What is listed comes first, then whatever else its folder has.
        listed = {page for item in target for page in item.values()}
        folders = {str(Path(page).parent) for page in listed}
        return {
            name: [*target, *(page for folder in sorted(folders) for page in _pages(docs, folder, listed))]
        }
    if isinstance(target, str) and target.endswith("/"):
        return {name: _pages(docs, target, set())}
    return entry


def _pages(docs: Path, folder: str, listed: set[str]) -> list[dict[str, str]]:
    paths = sorted((docs / folder).glob("*.md"), key=lambda path: (path.name != "README.md", path.name))
    pages = [(path, path.relative_to(docs).as_posix()) for path in paths]
    return [{_title(path): page} for path, page in pages if page not in listed]


def _title(path: Path) -> str:
    found = _TITLE.search(path.read_text(encoding="utf-8"))
    assert found is not None, path
    return found[1].replace("`", "")
