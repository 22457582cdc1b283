"""Weights from strangers: nothing but plain ONNX with its sha256 is opened."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from friedel.core.errors import CorruptFileError, FileError, UnsupportedFileError
from friedel.nets.cards import find_card, load_card
from friedel.nets.inference import load_network
from friedel.nets.onnx_file import require_plain_onnx


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    assert number < 16
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def model(graph: bytes) -> bytes:
    """An ONNX model with this graph."""
    return b"\x08\x08" + field(7, graph)


EXTERNAL = field(13, field(1, b"location") + field(2, b"../../secret"))
IN_MEMORY = field(8, b"w") + b"\x70\x01"
HIDING = {
    "an initialiser": field(5, EXTERNAL),
    "a location without a path": field(5, IN_MEMORY),
    "an attribute of a node": field(1, field(5, field(5, EXTERNAL))),
    "a graph within a node": field(1, field(5, field(6, field(5, EXTERNAL)))),
    "a sparse initialiser": bytes([15 << 3 | 2, len(field(1, EXTERNAL))]) + field(1, EXTERNAL),
}


@pytest.mark.parametrize("place", HIDING)
def test_data_from_other_files_are_refused_wherever_they_are_named(place: str) -> None:
    with pytest.raises(UnsupportedFileError, match="outside"):
        require_plain_onnx(model(HIDING[place]), Path("x.onnx"))


def test_data_in_the_file_itself_are_allowed() -> None:
    require_plain_onnx(model(field(5, field(8, b"w") + b"\x70\x00")), Path("x.onnx"))


def test_deep_nesting_and_endless_integers_are_refused() -> None:
    graph = b""
    for _ in range(30):
        graph = _long_field(1, _long_field(5, _long_field(6, graph)))
    for data in (b"\x08\x08" + _long_field(7, graph), b"\x08" + b"\xff" * 20, b"\x3a\x7f", b"\x0f"):
        with pytest.raises(CorruptFileError):
            require_plain_onnx(data, Path("x.onnx"))


def _long_field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value) & 127 | 128, len(value) >> 7 & 127]) + value


class Boom:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def card_for(folder: Path, weights: bytes) -> Path:
    """Weights under the name of the shipped ones, with a card that vouches for them."""
    card = find_card("denoiser")
    text = card.read_text(encoding="utf-8").replace(load_card(card).sha256, hashlib.sha256(weights).hexdigest())
    (folder / card.name).write_text(text, encoding="utf-8")
    path = folder / load_card(card).file
    path.write_bytes(weights)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_its_first_bytes_and_not_run(tmp_path: Path, protocol: int) -> None:
    weights = card_for(tmp_path, pickle.dumps(Boom(tmp_path / "boom"), protocol))
    with pytest.raises(UnsupportedFileError, match="pickle"):
        load_network(str(weights))
    assert not (tmp_path / "boom").exists()


def test_other_formats_are_refused_by_their_first_bytes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "torch.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(1))
    zipped = (tmp_path / "torch.pt").read_bytes()
    for weights, word in ((zipped, "zip"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"<!DOCTYPE html>", "HTML")):
        with pytest.raises(UnsupportedFileError, match=word):
            load_network(str(card_for(tmp_path, weights)))


def test_weights_that_are_no_network_are_a_typed_error(tmp_path: Path) -> None:
    weights = card_for(tmp_path, model(b""))
    network = load_network(str(weights))
    with pytest.raises(FileError, match="does not run"):
        network.run(np.ones((1, 16, 16), np.float32), np.array([[7.5, 7.5]]))


def test_weights_changed_after_they_were_loaded_are_not_run(tmp_path: Path) -> None:
    card = find_card("denoiser")
    for source in (card, card.with_suffix(".onnx")):
        shutil.copyfile(source, tmp_path / source.name)
    network = load_network(str(tmp_path / "denoiser.onnx"))
    with (tmp_path / "denoiser.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CorruptFileError, match="not the file"):
        network.run(np.ones((1, 16, 16), np.float32), np.array([[7.5, 7.5]]))
