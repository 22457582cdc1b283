"""The reference of recipes, from the classes that check them: ``python docs/make/recipe_page.py``."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from friedel.pipeline.recipe import Recipe

_ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*)\n(?P<text>(?:    .*\n?)+)", flags=re.MULTILINE)


def page_of_recipes() -> str:
    """Markdown of every section of a recipe, with the type, default and meaning of its keys."""
    return "\n".join(part for name, kind in sections("", Recipe) for part in section_of(name, kind))


def sections(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """A section and all below it, by their dotted names."""
    yield name, kind
    for key, annotation in keys_of(kind):
        for inner in settings_in(annotation):
            yield from sections(f"{name}.{key}".lstrip("."), inner)


def section_of(name: str, kind: Any) -> Iterator[str]:
    """Heading, what the section is for, and the table of its keys."""
    text = inspect.cleandoc(kind.__doc__ or "")
    meanings = meanings_of(text)
    summary = text.partition("\n\nParameters")[0].replace("``", "`")
    yield f"## {f'[{name}]' if name else 'Top of the file'}\n\n{summary}\n"
    rows = [(key, annotation) for key, annotation in keys_of(kind) if not settings_in(annotation)]
    if rows:
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        defaults = defaults_of(kind)
        for key, annotation in rows:
            value = defaults.get(key, dataclasses.MISSING)
            default = (
                "must be given" if value is dataclasses.MISSING else "not set" if value is None else f"`{value!r}`"
            )
            yield f"| `{key}` | `{type_of(annotation)}` | {default} | {meanings.get(key, '')} |"
        yield ""


def keys_of(kind: Any) -> list[tuple[str, Any]]:
    """Names and annotations of the fields of a section."""
    hints = get_type_hints(kind)
    names = kind.model_fields if issubclass(kind, BaseModel) else [f.name for f in dataclasses.fields(kind) if f.init]
    return [(name, hints[name]) for name in names]


def defaults_of(kind: Any) -> dict[str, Any]:
    """What stands for a key that is left out, where something does."""
    if issubclass(kind, BaseModel):
        return {name: field.default for name, field in kind.model_fields.items() if not field.is_required()}
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def settings_in(annotation: Any) -> list[Any]:
    """Classes of settings in an annotation: each is a section of its own."""
    if get_origin(annotation) is not None:
        return [kind for inner in get_args(annotation) for kind in settings_in(inner)]
    is_class = isinstance(annotation, type)
    return (
        [annotation] if is_class and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)) else []
    )


def type_of(annotation: Any) -> str:
    """An annotation as one writes it, safe in a table."""
    text = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    text = text.replace("typing.", "").replace(" | None", "")
    return re.sub(r"^Optional\[(.*)\]$", r"\1", text).replace("|", "or")


def meanings_of(text: str) -> dict[str, str]:
    """Meanings in the part "Parameters" of a docstring, by name; names with commas share one."""
    _, _, parameters = text.partition("Parameters\n----------\n")
    found = {}
    for match in _ENTRY.finditer(re.split(r"\n\n\w+\n-+\n", parameters)[0] + "\n"):
        meaning = " ".join(match["text"].split()).replace("``", "`").replace("|", "\\|")
        found.update(dict.fromkeys(match["names"].split(", "), meaning))
    return found


if __name__ == "__main__":
    print(page_of_recipes())
