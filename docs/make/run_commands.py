"""Run every command and Python example of README and docs, and write what the commands print into the pages.

``python docs/make/run_commands.py [FOLDER]``: the pages share one new, empty folder, so that a page may use what an
earlier one has made. A console block that opens with a comment ``# needs FILE`` is run only if FILE lies in FOLDER,
a Python block that opens with one never.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

DOCS = Path(__file__).parents[1]
PAGES = (
    DOCS.parent / "README.md",
    DOCS / "start" / "scan.md",
    DOCS / "start" / "micrograph.md",
    DOCS / "start" / "pattern.md",
    DOCS / "howto" / "choose-phases.md",
    DOCS / "howto" / "notebook.md",
)
STAMP = re.compile(r"^(Outputs written by `docs/make/run_commands.py` on ).*$", flags=re.MULTILINE)
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def main(data: Path | None) -> None:
    """Run the blocks of all pages in order."""
    with tempfile.TemporaryDirectory() as folder:
        for page in PAGES:
            text = STAMP.sub(rf"\g<1>{circumstances()}.", page.read_text(encoding="utf-8"))
            page.write_text(BLOCK.sub(lambda m: run_block(m, Path(folder), data), text), encoding="utf-8")


def circumstances() -> str:
    """Say when, with what and on which machine the commands are run."""
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"{today} with friedel {version('friedel')}, Python {platform.python_version()}, {platform.machine()} Linux"


def run_block(block: re.Match[str], folder: Path, data: Path | None) -> str:
    """Return a block with fresh output; a Python block is run and left as it is."""
    language, body = block.groups()
    if language == "python":
        if body.startswith("# needs "):
            print(f"left as it is: {body.partition(chr(10))[0]}")
            return block.group()
        run([sys.executable, "-c", body], folder)
        return block.group()
    lines = body.splitlines()
    needed = [line.removeprefix("# needs ") for line in lines if line.startswith("# needs ")]
    for name in needed:
        if data is None or not (data / name).exists():
            print(f"left as it is, because {name} is not at hand: {lines[len(needed)]}")
            return block.group()
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to((data / name).absolute())
    out = [f"# needs {name}" for name in needed]
    for line in (line for line in lines if line.startswith("$ ")):
        out += [line, *run(["bash", "-c", line.removeprefix("$ ")], folder).splitlines()]
    return "\n".join(["```console", *out, "```"])


def run(command: list[str], folder: Path) -> str:
    """Run a command in the folder and return what it prints; stop if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"$ {command[-1]}\n{done.stdout}")
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}: {command[-1]}")
    return done.stdout.replace(f"{folder}{os.sep}", "").rstrip()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
