"""Options of ``friedel map`` that only some kinds of input take."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_SCAN, _SERIES = frozenset({"scan"}), frozenset({"series"})
_IMAGES = frozenset({"micrograph", "series"})
#: The kinds of input that take an option, by its name; what is not here is for all.
_TAKEN_BY = {
    "--calibration": _SCAN,
    "--step-inv-a": _SCAN,
    "--centre": _SCAN,
    "--scan-shape": _SCAN,
    "--scan-step-nm": _SCAN,
    "--annulus-inv-a": _SCAN,
    "--denoise": _SCAN,
    "--template": _SCAN,
    "--lookalikes": _SCAN,
    "--strain-reference": _SCAN,
    "--neighbours": _SCAN,
    "--pixel-size-a": _IMAGES,
    "--detector": _IMAGES,
    "--frame-time-s": _SERIES,
    "--dose-rate": _SERIES,
    "--frames": _SERIES,
}


def warn_of_ignored(passed: Iterable[str], kinds: Collection[str]) -> tuple[str, ...]:
    """Say which of the options that were passed no input of these kinds took; nothing where there is none."""
    ignored = [name for name in passed if name in _TAKEN_BY and kinds and not _TAKEN_BY[name] & set(kinds)]
    if not ignored:
        return ()
    verb = "does nothing" if len(ignored) == 1 else "do nothing"
    return (f"{', '.join(ignored)} {verb} here: the input is a {' or a '.join(sorted(kinds))}.",)
