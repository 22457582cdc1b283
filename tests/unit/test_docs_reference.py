"""The reference that is written at the build names every verb, option, key of a recipe and module."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from friedel.cli.main import app
from friedel.pipeline.recipe import dump_recipe, parse_recipe

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent.name for path in (ROOT / "src" / "friedel").glob("*/__init__.py"))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "make" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options_of(command: Any) -> set[str]:
    children = getattr(command, "commands", {}).values()
    return {name for p in command.params for name in p.opts if name.startswith("--")}.union(*map(options_of, children))


def test_every_verb_and_option_is_listed_with_its_meaning() -> None:
    page = script("commands_page").page_of_commands()
    program: Any = typer.main.get_command(app)
    assert set(re.findall(r"^## friedel (\S+)", page, flags=re.MULTILINE)) == set(program.commands)
    assert options_of(program) - {"--version"} - set(re.findall(r"--[\w-]+", page)) == set()
    assert re.findall(r"^\|[^|]*\|[^|]*\|\s*\|$", page, flags=re.MULTILINE) == []


def test_every_key_of_a_recipe_is_listed_with_its_meaning() -> None:
    page = script("recipe_page").page_of_recipes()
    written = dump_recipe(parse_recipe({"input": "a.mib", "phases": ["lif"]}))
    sections = set(re.findall(r"^## (\[.+\])$", page, flags=re.MULTILINE))
    assert set(re.findall(r"^(\[.+\])$", written, flags=re.MULTILINE)) - sections == set()
    keys = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert set(re.findall(r"^(\w+) =", written, flags=re.MULTILINE)) - keys == set()
    assert re.findall(r"^\| `(\w+)` \|.*\|\s*\|$", page, flags=re.MULTILINE) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_page_and_every_module_a_line(room: str) -> None:
    page = (ROOT / "docs" / "contribute" / "rooms" / f"{room}.md").read_text(encoding="utf-8")
    assert f"<!-- written at the build: modules {room} -->" in page
    table = script("rooms_page").modules_of_room(room)
    folder = ROOT / "src" / "friedel" / room
    modules = {p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.py") if p.stem != "__init__"}
    assert modules - set(re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)) == set()
