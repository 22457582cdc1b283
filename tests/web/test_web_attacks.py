from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from asking import ask, error_of

from friedel.core.errors import FileError, FileNotPermittedError
from friedel.web import roots as roots_module
from friedel.web.roots import Roots
from friedel.web.security import MAX_BODY_BYTES, Access, Guard


def test_the_page_opens_with_its_token_and_sets_a_strict_cookie(server: Access) -> None:
    status, headers, _ = ask(server, f"/?token={server.token}", leave_out=("Cookie", "Origin"))
    assert (status, headers["location"]) == (303, "./")
    cookie = headers["set-cookie"]
    assert server.session in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert server.token not in cookie
    assert ask(server, "/api/folder", leave_out=("Origin",))[0] == 200


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 43])
def test_a_wrong_token_opens_nothing(server: Access, token: str) -> None:
    for path in (f"/?token={token}", "/", "/api/folder", "/page.js"):
        assert ask(server, path.encode("ascii", "replace").decode(), leave_out=("Cookie",))[0] == 401


@pytest.mark.parametrize(
    "cookie", ["", "friedel=1", "friedel-{port}=", "friedel-{port}={token}", "friedel-{port}=a;;;=,"]
)
def test_a_wrong_cookie_opens_nothing(server: Access, cookie: str) -> None:
    said = cookie.format(port=server.port, token=server.token)
    assert ask(server, "/api/folder", headers={"Cookie": said})[0] == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", ""]
)
def test_another_host_is_refused_so_that_rebinding_a_name_gains_nothing(server: Access, host: str) -> None:
    assert ask(server, "/api/folder", headers={"Host": host.format(port=server.port)})[0] in (400, 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1:{port}"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused(server: Access, origin: str, method: str) -> None:
    answer = ask(server, "/api/folder", method=method, headers={"Origin": origin.format(port=server.port)})
    assert answer[0] == 403


def test_a_change_without_an_origin_is_refused(server: Access) -> None:
    assert ask(server, "/api/open", method="POST", body={"path": "/"}, leave_out=("Origin",))[0] == 403


def test_a_request_that_another_site_makes_is_refused(server: Access) -> None:
    for site in ("cross-site", "same-site"):
        assert ask(server, "/api/folder", headers={"Sec-Fetch-Site": site}, leave_out=("Origin",))[0] == 403


def test_websockets_are_refused(server: Access) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as stream:
        lines = [
            "GET /api/folder HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: http://evil.example",
        ]  # fmt: skip
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 101 " not in stream.recv(200).split(b"\r\n")[0] + b" "


async def _never(*_: object) -> None:
    raise AssertionError


def test_a_websocket_that_reaches_the_guard_is_closed() -> None:
    import asyncio

    said: list[dict[str, object]] = []

    async def send(message: object) -> None:
        said.append(dict(message))  # type: ignore[call-overload]

    guard = Guard(_never, Access("127.0.0.1", 1))  # type: ignore[arg-type]
    asyncio.run(guard({"type": "websocket", "headers": []}, _never, send))  # type: ignore[arg-type]
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_every_answer_forbids_inline_scripts_and_framing(server: Access) -> None:
    for path, left_out in (("/", ()), ("/api/folder", ()), ("/none", ()), ("/", ("Cookie",))):
        policy = ask(server, path, leave_out=left_out)[1]["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self'" in policy


def test_what_is_too_long_is_refused_before_it_is_read(server: Access) -> None:
    long = {"Content-Length": str(MAX_BODY_BYTES + 1)}
    assert ask(server, "/api/open", method="POST", headers=long)[0] == 413
    chunked = {"Transfer-Encoding": "chunked"}
    assert ask(server, "/api/open", method="POST", headers=chunked, body=b"0\r\n\r\n")[0] == 411


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{folder}/../../../../../../etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "{folder}\x00.mrc",
        "relative",
    ],
)
def test_paths_outside_the_folders_are_refused(server: Access, folder: Path, path: str) -> None:
    answer = ask(server, "/api/open", method="POST", body={"path": path.format(folder=folder)})
    assert answer[0] in (400, 403)
    assert "root:" not in answer[2].decode()
    assert "Start friedel gui" in error_of(answer) or "Choose a file" in error_of(answer)


@pytest.mark.parametrize("path", ["/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "//etc/passwd"])
def test_the_pages_own_folder_is_not_left(server: Access, path: str) -> None:
    assert ask(server, path)[0] in (400, 404)


def test_links_lead_only_where_the_page_may_see(tmp_path: Path) -> None:
    (inside := tmp_path / "in").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (inside / "good.txt").write_text("good")
    (inside / "away").symlink_to(tmp_path / "secret.txt")
    (inside / "up").symlink_to(tmp_path)
    (inside / "near").symlink_to(inside / "good.txt")
    roots = Roots.of(inside)
    assert roots.read_bytes(inside / "near", 10) == b"good"
    for path in (inside / "away", inside / "up" / "secret.txt", inside / "up", tmp_path / "in2"):
        with pytest.raises(FileNotPermittedError):
            roots.pin(path)
    assert [entry.name for entry in roots.listing(inside)[1]] == ["good.txt", "near"]


def test_a_folder_with_a_longer_name_is_not_inside(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    with pytest.raises(FileNotPermittedError):
        Roots.of(tmp_path / "a").pin(tmp_path / "ab")


def test_a_name_that_becomes_a_link_after_it_was_resolved_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race: the path is resolved, then a folder on it is swapped for a link to elsewhere."""
    (secret := tmp_path / "elsewhere").mkdir()
    (secret / "f.txt").write_text("secret")
    (inside := tmp_path / "in").mkdir()
    (inside / "sub").symlink_to(secret)
    monkeypatch.setattr(roots_module.os.path, "realpath", lambda path: str(path))
    (inside / "g.txt").symlink_to(secret / "f.txt")
    for path in (inside / "sub" / "f.txt", inside / "g.txt"):
        with pytest.raises(FileError, match="neither a file nor a folder"):
            Roots((inside,)).read_bytes(path, 100)
    monkeypatch.setattr(roots_module, "_is_plain", lambda status: True)  # swapped after even this look
    for path in (inside / "sub" / "f.txt", inside / "g.txt"):
        with pytest.raises(FileError, match="cannot be opened"):
            Roots((inside,)).read_bytes(path, 100)


def test_a_file_that_is_replaced_is_not_the_one_that_was_pinned(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    roots = Roots.of(tmp_path)
    pinned = roots.pin(tmp_path / "f")
    assert roots.still_there(pinned)
    (tmp_path / "g").write_text("2")
    (tmp_path / "g").replace(tmp_path / "f")
    assert not roots.still_there(pinned)


def test_pipes_and_devices_are_neither_listed_nor_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        roots = Roots.of(tmp_path)
        assert roots.listing(tmp_path)[1] == []
        for name in ("pipe", "socket"):
            with pytest.raises(FileError, match="neither a file nor a folder"):
                roots.pin(tmp_path / name)


def test_names_are_text_for_the_page_and_never_markup(tmp_path: Path) -> None:
    (tmp_path / "<img src=x onerror=alert(1)>.mrc").write_bytes(b"")
    assert Roots.of(tmp_path).listing(tmp_path)[1][0].name == "<img src=x onerror=alert(1)>.mrc"


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"0" * 1000)
    with pytest.raises(FileError, match="more than 999"):
        Roots.of(tmp_path).read_bytes(tmp_path / "big", 999)


def test_a_proxy_is_let_in_by_its_address_and_has_its_own_cookie_path() -> None:
    access = Access("127.0.0.1", 8765, "https://hub.example.org/user/ann/proxy/8765/")
    assert access.root_path == "/user/ann/proxy/8765"
    assert "https://hub.example.org" in access.origins()
    assert "http://hub.example.org" not in access.origins()
    assert access.url == f"https://hub.example.org/user/ann/proxy/8765/?token={access.token}"
