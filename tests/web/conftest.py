"""A small scan, and a server that shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn

import friedel as fr
from friedel.web.app import make_app
from friedel.web.roots import Roots
from friedel.web.security import Access
from friedel.web.serve import _listen


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scan whose beam and ring are known, and a micrograph with fringes."""
    out = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(5)
    y, x = np.indices((48, 64))
    radius = np.hypot(y - 23.0, x - 32.0)
    beam, ring = 400.0 * (radius < 3), 3.0 * (np.abs(radius - 14.0) < 1.5)
    share = np.linspace(0.0, 1.0, 9)[None, :] * np.ones((6, 1))
    counts = rng.poisson(beam + share[..., None, None] * ring).astype(np.uint16)
    fr.write_scan(
        out / "ring.zarr",
        fr.PatternScan(
            counts, fr.ReciprocalGrid((0.02, 0.02), (23.0, 32.0)), fr.RealGrid((20.0, 20.0)), fr.Beam(200.0)
        ),
    )
    column = np.arange(400)[None, :]
    fringes = 100 + 20 * np.cos(2 * np.pi * column * 0.2 / 2.0) + rng.normal(0, 4, (300, 400))
    fr.write_micrograph(out / "fringes.mrc", fr.Micrograph(fringes.astype(np.float32), fr.RealGrid((0.2, 0.2))))
    return out


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A server that listens on this machine."""
    runs = tmp_path_factory.mktemp("runs")
    listening = _listen("127.0.0.1", 0)
    access = Access("127.0.0.1", listening.getsockname()[1])
    config = uvicorn.Config(make_app(access, Roots.of(folder, runs), runs), log_level="error", ws="none")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield access
    running.should_exit = True
    thread.join()
