"""The viewer of scans and micrographs in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from friedel.core.errors import DataError, FriedelError
from friedel.core.images import Micrograph, PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.report.colours import phase_colours
from friedel.web.browse import MAX_FFT_PX, MIN_FFT_PX, fft_of, spectrum_window
from friedel.web.frames import binned, encode
from friedel.web.opened import ScanFacts, look_at

#: Largest side of the picture of a micrograph that travels to the notebook.
_MAX_SIDE_PX = 1400


class Viewer(anywidget.AnyWidget):
    """Shows the image of a scan beside the pattern at the probe, or a micrograph beside the FFT of a square.

    Parameters
    ----------
    data
        Scan or micrograph.
    phase_map
        Drawn over the image: colour says which phase, opacity how sure; it must have the shape of the image.
    min_probability
        A phase is called present from here on; what lies below is hatched.

    Attributes
    ----------
    probe
        Position (y, x) that is shown; setting it moves the probe, and ``observe`` follows it.
    ring_px
        Radii of the ring that makes the image of a scan, in pixels of the pattern.
    side_px
        Side of the square whose FFT is shown, centred on the probe as far as the image reaches.
    """

    _esm = Path(__file__).parent / "static" / "widget.js"
    facts = traitlets.Dict().tag(sync=True)
    probe = traitlets.Tuple(traitlets.Int(), traitlets.Int()).tag(sync=True)
    ring_px = traitlets.Tuple(traitlets.Float(), traitlets.Float(), default_value=(0.0, 1.0)).tag(sync=True)
    side_px = traitlets.Int(512).tag(sync=True)

    def __init__(
        self, data: PatternScan | Micrograph, phase_map: PhaseMap | None = None, *, min_probability: float = 0.5
    ) -> None:
        shape = data.scan_shape if isinstance(data, PatternScan) else data.shape
        if phase_map is not None and phase_map.valid.shape != tuple(shape):
            raise DataError(f"The phase map has {phase_map.valid.shape} positions, the image {tuple(shape)}.")
        self._data, self._map = data, phase_map
        self._scan: ScanFacts | None = None
        facts: dict[str, Any] = {
            "shape": list(shape),
            "step_a": None,
            "step_inv_a": None,
            "reach_px": 1.0,
            "colours": [] if phase_map is None else list(phase_colours(phase_map.phases).values()),
            "min_probability": min_probability,
        }
        ring = (0.0, 1.0)
        side = max(MIN_FFT_PX, min(512, MAX_FFT_PX, *shape))
        if isinstance(data, PatternScan):
            self._scan = look_at(data)
            self._scan.sums.start()
            ring = (0.125 * min(data.pattern_shape), 0.375 * min(data.pattern_shape))
            step = None if data.scan_grid is None else data.scan_grid.step_a[1]
            facts |= {"kind": "scan", "step_a": step, "step_inv_a": data.grid.step_inv_a[1]}
            facts["reach_px"] = self._scan.sums.reach_px
        else:
            facts |= {"kind": "micrograph", "step_a": data.grid.step_a[1], "step_inv_a": 1.0}
        super().__init__(facts=facts, probe=(shape[0] // 2, shape[1] // 2), ring_px=ring, side_px=side)
        self.on_msg(self._answer)

    def _answer(self, _: Any, content: dict[str, Any], buffers: list[bytes]) -> None:
        try:
            picture = self.picture(content["what"])
        except FriedelError as error:
            self.send({"id": content["id"], "error": str(error)})
        else:
            self.send({"id": content["id"]}, [picture])

    def picture(self, what: str) -> bytes:
        """Pack what is asked for, as it is now: "image", "pattern" or "map"."""
        if what == "map" and self._map is not None:
            layers = np.concatenate([self._map.presence, self._map.valid[..., None]], axis=-1)
            return encode(np.rint(255 * layers).astype(np.uint8).transpose(2, 0, 1))
        if isinstance(self._data, Micrograph):
            return self._square() if what == "pattern" else self._micrograph()
        assert self._scan is not None
        if what == "pattern":
            return encode(np.asarray(self._data.data[self.probe]), centre_px=self._scan.centre_px)
        sums = self._scan.sums
        done = sums.rows_done
        image = sums.image(*self.ring_px)
        return encode(image, seen=image[:done], rows_done=done)

    def _micrograph(self) -> bytes:
        assert isinstance(self._data, Micrograph)
        return encode(binned(self._data.data, -(-max(self._data.shape) // _MAX_SIDE_PX)))

    def _square(self) -> bytes:
        assert isinstance(self._data, Micrograph)
        y0, x0 = (
            min(max(0, at - self.side_px // 2), n - self.side_px)
            for at, n in zip(self.probe, self._data.shape, strict=True)
        )
        power, (step, centre) = fft_of(self._data, y0, x0, self.side_px)
        middle = [y0 + self.side_px / 2, x0 + self.side_px / 2]
        return encode(power, window=spectrum_window(power), step_inv_a=step, centre_px=centre, middle=middle)
