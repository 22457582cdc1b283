from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import friedel
from friedel.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONSOLE = re.compile(r"^```(?:console|sh)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAX_PICTURE_BYTES = 250_000


def commands_of(text: str) -> list[list[str]]:
    """Words of every friedel command in the console blocks of a page."""
    lines = "\n".join(CONSOLE.findall(text)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if line.startswith("$ ")]
    return [w for w in words if w and Path(w[0]).name == "friedel"]


def faults_of(words: list[str]) -> list[str]:
    """What a command line names that the program does not have."""
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return [f"no verb {rest[0]}"]
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    return [f"no option {word}" for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    found = {" ".join(words): faults_of(words) for words in commands_of(page.read_text(encoding="utf-8"))}
    assert {line: faults for line, faults in found.items() if faults} == {}


def test_the_check_sees_commands_and_their_faults() -> None:
    page = "```console\n$ friedel map a.mrc --phases lif \\\n  --oout b\noutput --not-a-command\n$ friedel fly a\n```\n"
    assert [faults_of(words) for words in commands_of(page)] == [["no option --oout"], ["no verb fly"]]


def test_readme_shows_commands_at_all() -> None:
    verbs = {words[1] for words in commands_of(PAGES[0].read_text(encoding="utf-8"))}
    assert verbs >= {"demo", "info", "map"}


def test_table_of_verbs_names_all_verbs_and_no_other() -> None:
    rows = re.findall(r"^\| (`friedel [^|]*)\|", PAGES[0].read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {row.split("`")[1].split()[1]: re.findall(r"`([^`]+)`", row) for row in rows}
    program: Any = typer.main.get_command(app)
    assert set(named) == set(program.commands)
    for verb, quoted in named.items():
        children = getattr(program.commands[verb], "commands", {})
        assert not children or {quoted[0].split()[2], *quoted[1:]} == set(children)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_every_relative_link_and_picture_exists(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target.partition("#")[0]).exists()] == []


def test_every_picture_is_used_and_small_enough_for_a_page() -> None:
    used = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = sorted((ROOT / "docs" / "pictures").glob("*"))
    assert pictures
    assert [p.name for p in pictures if f"pictures/{p.name}" not in used] == []
    assert [p.name for p in pictures if p.stat().st_size >= MAX_PICTURE_BYTES] == []


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_python_examples_use_public_names_only(page: Path) -> None:
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        attributes = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)]
        names = {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "fr"}
        assert names <= set(friedel.__all__)
