"""The reference of the command line, from what the program itself says: ``python docs/make/commands_page.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import typer.main

from friedel.cli.main import app

_WORDS = {str: "text", int: "whole number", float: "number", Path: "path"}


def page_of_commands() -> str:
    """Markdown of every verb: what it does, its arguments and its options."""
    return "\n".join(section for words, command in verbs(("friedel",), typer.main.get_command(app))
                     for section in section_of(words, command))  # fmt: skip


def verbs(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands below one, each with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name in sorted(children):
        yield from verbs((*words, name), children[name])


def section_of(words: tuple[str, ...], command: Any) -> Iterator[str]:
    """Heading, text, usage and table of one verb."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([*words, *(called(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    yield f"## {' '.join(words)}\n\n{inspect.cleandoc(command.help or '')}\n\n```text\n{usage}\n```\n"
    if arguments or options:
        yield "| | type | meaning |\n|---|---|---|"
        for parameter in (*arguments, *options):
            names = (
                called(parameter) if parameter in arguments else ", ".join([*parameter.opts, *parameter.secondary_opts])
            )
            yield f"| `{names}` | {kind_of(parameter)} | {cell(meaning_of(parameter))} |"
        yield ""


def called(argument: Any) -> str:
    """Name of an argument in a line of usage."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def kind_of(parameter: Any) -> str:
    """Type of a parameter in a word."""
    if getattr(parameter, "is_flag", False):
        return "switch"
    annotation = parameter.type_descriptor.annotation
    inner = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    return _WORDS.get(inner, getattr(inner, "__name__", str(inner)).lower())


def meaning_of(parameter: Any) -> str:
    """Help of a parameter, with its default or that it must be given."""
    text = str(getattr(parameter, "help", "") or "")
    default = parameter.default
    if parameter.required:
        return f"{text} *Required.*"
    stated = isinstance(default, (str, int, float, Path)) and not isinstance(default, bool) and "[" not in text
    return f"{text} *Default {default}.*" if stated and str(default) else text


def cell(text: str) -> str:
    """Text that stays inside a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


if __name__ == "__main__":
    print(page_of_commands())
