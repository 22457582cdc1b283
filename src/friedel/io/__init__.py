"""Readers and writers, and the guarded child process that runs vendor readers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from friedel.io.limits import Limits
    from friedel.io.options import ReadOptions
    from friedel.io.reading import FileInfo, inspect, read
    from friedel.io.stacks import write_series
    from friedel.io.writing import write_micrograph, write_scan

__all__ = ["FileInfo", "Limits", "ReadOptions", "inspect", "read", "write_micrograph", "write_scan", "write_series"]

_HOMES = {
    "FileInfo": "reading",
    "inspect": "reading",
    "read": "reading",
    "Limits": "limits",
    "ReadOptions": "options",
    "write_micrograph": "writing",
    "write_scan": "writing",
    "write_series": "stacks",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
