"""Structures from the reference server of OPTIMADE, and from a stand-in for the Materials Project, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from friedel.cli.main import app
from friedel.core.errors import FetchError
from friedel.crystal import Crystal, load_phase, load_phases, read_cif, reflections, unit_cell_atoms
from friedel.crystal.fetch_http import HttpOptions, get_json

pytest.importorskip("optimade.server", reason="the reference server comes with optimade[server], extra dev")
pytest.importorskip("mongomock", reason="the reference server keeps its data in mongomock")

SERVER = Path(__file__).parent / "optimade_reference_server.py"
#: A skewed cell of twice the volume: what a server gives need be neither primitive nor conventional.
SKEW = np.array([[1, 0, 0], [0, 1, 0], [1, -1, 2]])


def doubled(crystal: Crystal) -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Basis, places and contents of a skewed cell of twice the volume."""
    atoms = unit_cell_atoms(crystal)
    held: dict[tuple[float, ...], dict[str, float]] = {}
    for xyz, element, occupancy in zip(atoms.fract.round(7), atoms.elements, atoms.occupancy, strict=True):
        held.setdefault(tuple(xyz), {})[element] = float(occupancy)
    first = np.array(list(held))
    fract = np.concatenate([first, first + np.array([0, 0, 1])]) @ np.linalg.inv(SKEW) + 0.1
    return SKEW @ crystal.direct_basis_a, fract % 1.0, [*held.values(), *held.values()]


def document(name: str, phase: str, **changes: Any) -> dict[str, Any]:
    """A structure as OPTIMADE's data model has it."""
    basis, fract, contents = doubled(load_phase(phase))
    names = ["+".join(sorted(content)) for content in contents]
    species = {n: {"name": n, "chemical_symbols": list(c), "concentration": list(c.values())}
               for n, c in zip(names, contents, strict=True)}  # fmt: skip
    elements = sorted({element for content in contents for element in content})
    entry = {
        "id": name, "type": "structures", "elements": elements, "nelements": len(elements),
        "elements_ratios": [1 / len(elements)] * len(elements), "chemical_formula_reduced": phase,
        "dimension_types": [1, 1, 1], "nperiodic_dimensions": 3, "lattice_vectors": basis.tolist(),
        "cartesian_site_positions": (fract @ basis).tolist(), "nsites": len(names), "species": list(species.values()),
        "species_at_sites": names, "structure_features": [], "last_modified": "2024-01-02T03:04:05Z",
    }  # fmt: skip
    return entry | changes


@pytest.fixture(scope="module")
def optimade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("optimade")
    # A page of this server holds 20 structures.
    fillers = [document(f"al-{i}", "al") for i in range(30)]
    entries = [*fillers, document("lif", "lif"), document("nmc", "nmc811-o3"), document("quartz", "sio2-quartz"),
               document("lfp", "lifepo4"), document("li", "li"), document("no/slash", "naf"),
               document("slab", "mgo", nperiodic_dimensions=2, dimension_types=[1, 1, 0]),
               document("guess", "cao", structure_features=["implicit_atoms"]),
               document("wrong", "nacl", species_at_sites=["K"] * 16, species=[
                   {"name": "K", "chemical_symbols": ["K"], "concentration": [1.0]}]),
               document("half", "kcl", species=[
                   {"name": "K", "chemical_symbols": ["K"], "concentration": [1.0]},
                   {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [0.5]}]),
               document("gaps", "nio", structure_features=["disorder"], species=[
                   {"name": "Ni", "chemical_symbols": ["Ni"], "concentration": [1.0]},
                   {"name": "O", "chemical_symbols": ["O", "vacancy"], "concentration": [0.9, 0.1]}]),
               document("crushed", "cu", lattice_vectors=[[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]],
                        cartesian_site_positions=[[0, 0, 0], [0.3, 0.3, 0.3]], nsites=2,
                        species_at_sites=["Cu"] * 2)]  # fmt: skip
    (folder / "structures.json").write_text(json.dumps(entries))
    (folder / "config.json").write_text(json.dumps({"insert_test_data": False}))
    port = folder / "port"
    environment = {**os.environ, "OPTIMADE_CONFIG_FILE": str(folder / "config.json"), "OPTIMADE_LOG_DIR": str(folder)}
    command = [sys.executable, str(SERVER), str(folder / "structures.json"), str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (port.exists() and port.read_text()):
            assert process.poll() is None, "the reference server did not start"
            assert time.monotonic() < deadline, "the reference server did not start in a minute"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port.read_text()}"
        process.terminate()


def fetch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["phases", "fetch", *arguments])


def manifest(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "fetched.jsonl").read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


@pytest.mark.parametrize(("name", "phase"), [("lif", "lif"), ("quartz", "sio2-quartz"), ("lfp", "lifepo4"),
                                             ("nmc", "nmc811-o3")])  # fmt: skip
def test_structure_in_any_cell_becomes_the_crystal_that_it_is(
    optimade: str, tmp_path: Path, name: str, phase: str
) -> None:
    done = fetch("--optimade", optimade, "--ids", name, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    ours, known = read_cif(tmp_path / f"exmpl-{name}.cif"), load_phase(phase)
    assert ours.space_group.number == known.space_group.number
    assert len(unit_cell_atoms(ours)) == len(unit_cell_atoms(known))
    a, b = reflections(ours, 1.5), reflections(known, 1.5)
    assert np.sort(a.d_a) == pytest.approx(np.sort(b.d_a), rel=1e-4)
    assert np.sort(a.f2) == pytest.approx(np.sort(b.f2), rel=2e-3, abs=1e-4)


def test_elements_mean_exactly_these(optimade: str, tmp_path: Path) -> None:
    done = fetch("--optimade", f"{optimade}/v1", "--elements", "F,Li", "--out", str(tmp_path), "--json")
    assert [s["id"] for s in json.loads(done.stdout)["structures"]] == ["exmpl-lif"]


def test_all_pages_are_read_and_doubtful_structures_left_out_with_the_reason(optimade: str, tmp_path: Path) -> None:
    done = fetch("--optimade", optimade, "--filter", "nelements>=1", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    lines = manifest(tmp_path)
    problems = {name: line["problem"] for name, line in lines.items() if line.get("problem")}
    reasons = {"slab": "2 dimensions", "guess": "implicit_atoms", "wrong": "said to hold", "half": "add up to 0.5",
               "crushed": "apart"}  # fmt: skip
    assert set(problems) == {f"exmpl-{name}" for name in reasons}
    for name, reason in reasons.items():
        assert reason in problems[f"exmpl-{name}"]
        assert f"exmpl-{name}: left out, because" in done.stderr
    assert len(lines) == 42
    assert sorted(path.stem for path in tmp_path.glob("*.cif") if "exmpl-al" not in path.stem) == [
        "exmpl-gaps", "exmpl-lfp", "exmpl-li", "exmpl-lif", "exmpl-nmc", "exmpl-no-slash", "exmpl-quartz"]  # fmt: skip
    facts = lines["exmpl-lif"]
    assert facts["url"] == f"{optimade}/v1/structures/lif"
    assert facts["api_version"].startswith("1.")
    assert facts["space_group"] == 225
    assert facts["last_modified"].startswith("2024-01-02")


def test_vacancies_leave_a_share_of_the_places_empty(optimade: str, tmp_path: Path) -> None:
    assert fetch("--optimade", optimade, "--ids", "gaps", "--out", str(tmp_path)).exit_code == 0
    occupancy = {site.element: site.occupancy for site in read_cif(tmp_path / "exmpl-gaps.cif").sites}
    assert occupancy == {"Ni": 1.0, "O": pytest.approx(0.9)}


def test_limit_is_kept_and_a_second_fetch_keeps_what_is_there(optimade: str, tmp_path: Path) -> None:
    ask = ("--optimade", optimade, "--filter", "nelements<=4", "--out", str(tmp_path))
    assert len(json.loads(fetch(*ask, "--limit", "3", "--json").stdout)["structures"]) == 3
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.cif")}
    assert len(before) == 3
    again = json.loads(fetch(*ask, "--limit", "4", "--json").stdout)["structures"]
    assert [s["was_there"] for s in again] == [True, True, True, False]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_fetched_phases_are_in_the_users_library_and_can_be_added_and_loaded(
    optimade: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRIEDEL_PHASES", str(tmp_path / "mine"))
    assert fetch("--optimade", optimade, "--ids", "quartz").exit_code == 0
    shown = CliRunner().invoke(app, ["phases", "show", "exmpl-quartz", "--json"])
    facts = json.loads(shown.stdout)
    assert facts["density_g_cm3"] == pytest.approx(2.65, abs=0.01)
    assert f"exmpl-quartz of the data base exmpl ({optimade}/v1/structures/quartz)" in facts["source"]
    cif = str(tmp_path / "mine" / "exmpl-quartz.cif")
    assert "already" in CliRunner().invoke(app, ["phases", "add", cif]).stderr
    assert CliRunner().invoke(app, ["phases", "add", cif, "--name", "my-quartz"]).exit_code == 0
    assert load_phases(["exmpl-quartz", "my-quartz", "lif"]).names == ("exmpl-quartz", "my-quartz", "lif")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--filter", "nelements!!"], "400"), (["--ids", "nothing"], "No structure"), (["--ids", "slab"], "None of 1"),
     (["--elements", "li"], "not the symbol")],
)  # fmt: skip
def test_failed_fetch_says_why_in_one_line(optimade: str, tmp_path: Path, arguments: list[str], text: str) -> None:
    done = fetch("--optimade", optimade, *arguments, "--out", str(tmp_path), "--json")
    assert done.exit_code == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


class StandIn(BaseHTTPRequestHandler):
    """Answers as the Materials Project does, with what the test puts into the server's ``answers``."""

    server: StandInServer

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        parts = urlsplit(self.path)
        status, body, headers = self.server.answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()},
                                                   self.headers.get("X-API-KEY"))  # fmt: skip
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class StandInServer(ThreadingHTTPServer):
    """Holds Materials Project's documents, and fails on request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), StandIn)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.failures: list[tuple[int, Any, dict[str, str]]] = []
        self.documents: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, asked: dict[str, str], key: str | None) -> tuple[int, Any, dict[str, str]]:
        if self.failures:
            return self.failures.pop(0)
        if path == "/heartbeat":
            return 200, {"status": "OK", "db_version": "2025.09.25"}, {}
        if path != "/materials/summary/":
            return 404, {"detail": "Not Found"}, {}
        if key != "right":
            return 401, {"message": "No API key found in request"}, {}
        ids = asked.get("material_ids", "").split(",")
        found = [d for d in self.documents if d["material_id"] in ids or d["chemsys"] == asked.get("chemsys")]
        start = int(asked["_skip"])
        return 200, {"data": found[start : start + min(int(asked["_limit"]), 100)], "meta": {}}, {}


@pytest.fixture
def stand_in() -> Iterator[StandInServer]:
    with StandInServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def mp_document(name: str, phase: str, number: int, **changes: Any) -> dict[str, Any]:
    basis, fract, contents = doubled(load_phase(phase))
    sites = [{"abc": list(xyz), "species": [{"element": e, "occu": o} for e, o in content.items()]}
             for xyz, content in zip(fract.tolist(), contents, strict=True)]  # fmt: skip
    chemsys = "-".join(sorted({element for content in contents for element in content}))
    return {
        "material_id": name, "chemsys": chemsys, "formula_pretty": phase, "symmetry": {"number": number},
        "last_updated": "2025-01-01", "theoretical": False,
        "structure": {"lattice": {"matrix": basis.tolist()}, "sites": sites},
    } | changes  # fmt: skip


@pytest.fixture
def project(stand_in: StandInServer, monkeypatch: pytest.MonkeyPatch) -> StandInServer:
    stand_in.documents = [mp_document("mp-1138", "lif", 225), mp_document("mp-1265", "mgo", 225),
                          mp_document("mp-1", "lif", 221), mp_document("mp-2", "lif", 225, structure=None)]  # fmt: skip
    monkeypatch.setenv("MP_API_ENDPOINT", stand_in.url)
    monkeypatch.setenv("MP_API_KEY", "right")
    return stand_in


def test_materials_project_is_asked_with_the_users_key(project: StandInServer, tmp_path: Path) -> None:
    done = fetch("--ids", "mp-1138,mp-1265", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert read_cif(tmp_path / "mp-1138.cif").cell[0] == pytest.approx(4.027)
    facts = manifest(tmp_path)["mp-1138"]
    assert (facts["database_version"], facts["space_group"]) == ("2025.09.25", 225)
    assert facts["url"] == "https://materialsproject.org/materials/mp-1138"
    assert "right" not in (tmp_path / "fetched.jsonl").read_text()


def test_structure_that_contradicts_its_space_group_is_left_out(project: StandInServer, tmp_path: Path) -> None:
    done = fetch("--elements", "Li,F", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    lines = manifest(tmp_path)
    assert "225 or 225, and the server says 221" in lines["mp-1"]["problem"]
    assert "not understood" in lines["mp-2"]["problem"]
    assert [path.stem for path in tmp_path.glob("*.cif")] == ["mp-1138"]


def test_symmetry_is_found_in_positions_that_are_a_little_off(project: StandInServer, tmp_path: Path) -> None:
    rough = mp_document("mp-3", "lif", 225)
    rough["structure"]["sites"][0]["abc"][0] += 0.03 / 4.027
    project.documents = [rough]
    assert fetch("--ids", "mp-3", "--out", str(tmp_path)).exit_code == 0
    assert manifest(tmp_path)["mp-3"]["tolerance_a"] == pytest.approx(0.1)


def test_missing_and_wrong_keys_are_named(
    project: StandInServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MP_API_KEY", "stolen")
    done = fetch("--ids", "mp-1138", "--out", str(tmp_path))
    assert (done.exit_code, "No API key found" in done.stderr, "stolen" in done.stderr) == (1, True, False)
    monkeypatch.delenv("MP_API_KEY")
    done = fetch("--ids", "mp-1138", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "MP_API_KEY" in done.stderr
    assert "https://optimade.materialsproject.org" in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--ids", "a", "--elements", "Li"], ["--filter", "nelements=2"], ["--ids", ","]]
)
def test_unclear_questions_are_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    assert fetch(*arguments, "--out", str(tmp_path)).exit_code == 2


QUICK = HttpOptions(timeout_s=0.5, tries=3, first_wait_s=0.01)


def test_busy_server_is_asked_again_and_a_refusal_is_final(stand_in: StandInServer) -> None:
    stand_in.failures = [(503, {}, {}), (429, {}, {"Retry-After": "0"})]
    assert get_json(f"{stand_in.url}/heartbeat", options=QUICK)["status"] == "OK"
    assert len(stand_in.seen) == 3
    stand_in.failures = [(503, {}, {})] * 3
    with pytest.raises(FetchError, match="503"):
        get_json(f"{stand_in.url}/heartbeat", options=QUICK)
    stand_in.seen.clear()
    stand_in.failures = [(403, {"errors": [{"detail": "not for you"}]}, {})] * 2
    with pytest.raises(FetchError, match=r"403.*not for you"):
        get_json(f"{stand_in.url}/heartbeat", options=QUICK)
    assert len(stand_in.seen) == 1


def test_server_that_is_not_there_or_talks_nonsense_is_named(stand_in: StandInServer) -> None:
    stand_in.failures = [(200, b"<html>", {}), (200, b"[1, 2]", {})]
    for _ in range(2):
        with pytest.raises(FetchError, match="no JSON object"):
            get_json(f"{stand_in.url}/heartbeat", options=QUICK)
    with pytest.raises(FetchError, match="no answer after 3 tries"):
        get_json("http://127.0.0.1:9/heartbeat", options=QUICK)
    with pytest.raises(FetchError, match="address of the web"):
        get_json("file:///etc/passwd", options=QUICK)


def test_key_is_not_carried_to_another_host(stand_in: StandInServer) -> None:
    stand_in.failures = [(302, {}, {"Location": f"http://localhost:{stand_in.server_port}/heartbeat"})]
    with pytest.raises(FetchError, match="sends on to http://localhost"):
        get_json(f"{stand_in.url}/heartbeat", headers={"X-API-KEY": "secret"}, options=QUICK)
    assert len(stand_in.seen) == 1


def test_slow_server_is_given_up(stand_in: StandInServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandInServer, "answer", lambda *_: time.sleep(1) or (200, {}, {}))
    with pytest.raises(FetchError, match="no answer after 1 tries"):
        get_json(f"{stand_in.url}/heartbeat", options=HttpOptions(timeout_s=0.2, tries=1))
