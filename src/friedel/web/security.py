"""Who may talk to the server, and what a browser may do with its answers."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Largest body of a request; a CIF file is the largest thing that the page sends.
MAX_BODY_BYTES = 2 * 2**20
_SAFE_METHODS = frozenset(("GET", "HEAD"))
#: What the page may do: load its own files, talk to its own server, draw what it made itself. Nothing inline.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: A report is a document of its own without scripts: it may use its own styles and pictures, and nothing else.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server is reached, and the secrets that open it.

    Parameters
    ----------
    host, port
        Address that the server listens at.
    base_url
        Address under which a proxy shows it, such as ``https://hub.example.org/user/ann/proxy/8765/``; None without.
    token
        Opens the page, in its address, for as long as the server lives; a browser swaps it for the cookie at once.
    session
        What the cookie holds from then on.
    """

    host: str
    port: int
    base_url: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def root_path(self) -> str:
        """Path under which a proxy shows the page, without a slash at the end."""
        return urlsplit(self.base_url).path.rstrip("/") if self.base_url else ""

    @property
    def cookie_name(self) -> str:
        """Name of the cookie; browsers share cookies between the ports of a host, so the port is in it."""
        return f"friedel-{self.port}"

    @property
    def url(self) -> str:
        """Address that opens the page, with the token."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        if is_any_address(self.host):
            shown = "localhost"
        base = self.base_url.rstrip("/") if self.base_url else f"http://{shown}:{self.port}"
        return f"{base}/?token={self.token}"

    def origins(self) -> frozenset[str]:
        """Origins that a request may come from; their hosts are those that it may be sent to."""
        hosts = {"127.0.0.1", "localhost", "[::1]"}
        if not is_any_address(self.host):
            hosts.add(f"[{self.host}]" if ":" in self.host else self.host)
        out = {f"http://{host}:{self.port}" for host in hosts}
        if self.port == 80:
            out |= {f"http://{host}" for host in hosts}
        if self.base_url:
            parts = urlsplit(self.base_url)
            out.add(f"{parts.scheme}://{parts.netloc}")
        return frozenset(origin.lower() for origin in out)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens at this host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_any_address(host: str) -> bool:
    """Whether a host stands for every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


class Guard:
    """Lets through only what the page itself asks for; everything else ends here with a sentence.

    A request must be sent to a host that is this server's (no DNS rebinding), must not come from a page of another
    origin, and must carry the cookie; changes must name their origin. The cookie is given for the token in the
    address. There are no websockets.
    """

    def __init__(self, app: App, access: Access) -> None:
        self._app, self._access = app, access
        self._origins = access.origins()
        self._hosts = frozenset(urlsplit(origin).netloc for origin in self._origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        if problem := self._refusal(scope["method"], headers):
            await _say(send, *problem)
        elif self._has_token(scope):
            await _say(send, 303, "", {"location": "./", "set-cookie": self._cookie()})
        elif self._has_cookie(headers):
            await self._app(scope, receive, _with_policy(send))
        else:
            await _say(send, 401, "This page needs its token. Open the address that friedel gui printed, with ?token=.")

    def _refusal(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """Return why a request is refused before it is looked at any further."""
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This server does not answer for that host. Behind a proxy, start it with --base-url."
        origin = headers.get("origin", "").lower()
        if origin and origin not in self._origins:
            return 403, "A page of another origin asked. Open the address that friedel gui printed."
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "Another site asked. Open the address that friedel gui printed."
        if method not in _SAFE_METHODS and not origin:
            return 403, "A change must say which page asks for it (the Origin header is missing)."
        if "transfer-encoding" in headers:
            return 411, "A body must state its length."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return 413, f"At most {MAX_BODY_BYTES} bytes are taken at a time."
        return None

    def _has_cookie(self, headers: dict[str, str]) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        morsel = cookies.get(self._access.cookie_name)
        return morsel is not None and _same(morsel.value, self._access.session)

    def _has_token(self, scope: Scope) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        return scope["method"] == "GET" and len(given) == 1 and _same(given[0], self._access.token)

    def _cookie(self) -> str:
        secure = "; Secure" if (self._access.base_url or "").startswith("https:") else ""
        path = self._access.root_path + "/"
        return f"{self._access.cookie_name}={self._access.session}; Path={path}; HttpOnly; SameSite=Strict{secure}"


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def _with_policy(send: Send) -> Send:
    """Add what every answer must say to the browser, unless it says something stricter itself."""
    defaults = {
        b"content-security-policy": PAGE_POLICY.encode(),
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-resource-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"cache-control": b"no-store",
    }

    async def write(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = {key.lower() for key, _ in message["headers"]}
            extra = [(key, value) for key, value in defaults.items() if key not in said]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return write


async def _say(send: Send, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
    """Answer with a sentence."""
    body = json.dumps({"error": sentence}).encode() if sentence else b""
    lines = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(key.encode(), value.encode()) for key, value in lines.items()]
    write = _with_policy(send)
    await write({"type": "http.response.start", "status": status, "headers": raw})
    await write({"type": "http.response.body", "body": body})
