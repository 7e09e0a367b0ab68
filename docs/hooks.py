"""What the site has beside docs/: pages from the code, and the repository's own pages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
}
ASSETS = ("results/*.json", "reports/*.png")  # what pages link to, as it lies in the repository
_LINK = re.compile(r"(\]\()([^)#\s:]+)([#)])")
_ROLE = re.compile(r":(?:meth|class|data|func|attr|mod):(?=<code>)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and the files."""
    for source, place in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=text))
    for pattern in ASSETS:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for name, lines in (("command-line", command_line()), ("space-file", space_file())):
        text = "\n".join(lines) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links between places of the repository into links between places of the site."""
    place = page.file.src_uri
    source = next((name for name, there in PAGES.items() if there == place), f"docs/{place}")

    def turned(link: re.Match[str]) -> str:
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        there = PAGES.get(wanted, wanted.removeprefix("docs/"))
        return link[1] + posixpath.relpath(there, posixpath.dirname(place) or ".") + link[3]

    return _LINK.sub(turned, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Drop Sphinx's roles before names, which docstrings have for editors."""
    return _ROLE.sub("", html)


def command_line() -> Iterator[str]:
    """Every command with its help, as it prints it."""
    import typer

    from invsearch.cli import app

    yield from ("# Command line", "", "As `invsearch COMMAND --help` prints it.", "")
    root = typer.main.get_command(app)
    for words, command in _commands(root, ("invsearch",)):
        context = command.make_context(words[-1], [], resilient_parsing=True)
        context.info_name, context.max_content_width = " ".join(words), 100
        context.terminal_width = 100
        yield from (f"## {' '.join(words)}", "", "```text", command.get_help(context), "```", "")


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, one in inner.items():
        yield from _commands(one, (*words, name))


def space_file() -> Iterator[str]:
    """The keys of a space file, from its JSON Schema."""
    from invsearch.space import json_schema

    schema = json_schema()
    yield from (
        "# Space file",
        "",
        "Every key, from the JSON Schema that `invsearch explain --schema` prints for editors; "
        "[space files](../space-files.md) says how they go together.",
        "",
    )
    yield from _keys("Top level", schema)
    for name, part in sorted(schema["$defs"].items()):
        if "properties" in part:
            yield from _keys(name, part)


def _keys(title: str, part: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {title}", "", part.get("description", "").split("\n\n")[0], "")
    yield from ("| key | value | default | |", "|---|---|---|---|")
    for key, value in part.get("properties", {}).items():
        default = f"`{value['default']}`" if "default" in value else ""
        told = value.get("description", "").replace("\n", " ")
        yield f"| `{key}` | {_kind(value)} | {default} | {told} |".replace("||", "| |")
    yield ""


def _kind(value: dict[str, Any]) -> str:
    """A value's type in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    for many in ("anyOf", "oneOf"):
        if many in value:
            return " or ".join(dict.fromkeys(_kind(one) for one in value[many]))
    kind = value.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(_kind({**value, "type": one}) for one in kind)
    if kind == "array":
        return f"list of {_kind(value.get('items', {}))}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"names with {_kind(value['additionalProperties'])}"
    return {"null": "null", "object": "mapping"}.get(kind, str(kind))
