"""How much memory and time the reader of a file may take."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the child process that reads a file.

    Parameters
    ----------
    memory_bytes
        Largest block that is read at once, and the memory that the reader may take besides it.
    cpu_s, wall_s
        CPU time and wall time of one request: opening the file, or reading one block.
    """

    memory_bytes: int = 2**30
    cpu_s: float = 60.0
    wall_s: float = 120.0

    def to_json(self) -> dict[str, float]:
        """Return the limits as plain values."""
        return asdict(self)
