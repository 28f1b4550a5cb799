"""Routes: where the built console is, and what a browser may do with it.

Nothing is compressed here: the build writes `.br` and `.gz` beside each file,
and one of them is given as it is. Whatever has a hash in its name never
changes; every address that is no file is one of the console's own and gets its
page.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from agentsquad.kernel.errors import MissingError
from agentsquad.surfaces.gateway.http import problem

BASE = "/console"
DIST = Path(__file__).with_name("dist")
PAGE = "index.html"
ASSETS = "assets/"  # every name there carries the hash of its content
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob:; worker-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
CAREFUL = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # Speaking to it, and looking at it through a headset, ask the person first.
    "Permissions-Policy": (
        "geolocation=(), camera=(), microphone=(self), xr-spatial-tracking=(self)"
    ),
}
TYPES = {".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8"}
NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Agent Squad</title>
<h1>The console is not built</h1>
<p>Packages of Agent Squad contain it. In a working copy, build it: <code>make console</code></p>
</html>"""


class StaticFile:
    """One file of the build, in the encodings there are of it."""

    def __init__(self, path: Path, name: str) -> None:
        self._forms = {"": path}
        for encoding, suffix in ENCODINGS:
            form = path.with_name(path.name + suffix)
            if form.exists():
                self._forms[encoding] = form
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.media_type = TYPES.get(path.suffix, guessed)
        self.caching = FOREVER if name.startswith(ASSETS) else ASK_AGAIN
        self._kept: dict[str, tuple[bytes, str]] = {}

    def encoding(self, accepted: str) -> str:
        """Return the best encoding that a browser takes; empty for none."""
        taken = {part.partition(";")[0].strip() for part in accepted.lower().split(",")}
        refused = {
            part.partition(";")[0].strip()
            for part in accepted.lower().replace(" ", "").split(",")
            if part.endswith((";q=0", ";q=0.0"))
        }
        return next(
            (one for one, _ in ENCODINGS if one in self._forms and one in taken - refused), ""
        )

    def read(self, encoding: str) -> tuple[bytes, str]:
        """Return the bytes in an encoding and the tag that names them."""
        found = self._kept.get(encoding)
        if found is None:
            data = self._forms[encoding].read_bytes()
            found = (data, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
            self._kept[encoding] = found
        return found


class Console:
    """The files of one build; another build in their place is noticed."""

    def __init__(self, dist: Path = DIST) -> None:
        self._dist = dist
        self._built = 0
        self._files: Mapping[str, StaticFile] = {}

    async def give(self, request: Request) -> Response:
        """Answer with a file, or with the page for an address of its own."""
        files = self._found()
        if not files:
            return Response(NOT_BUILT, 503, {**CAREFUL, "Cache-Control": "no-store"}, "text/html")
        name = request.path_params.get("path", "")
        if name not in files and (name.startswith(ASSETS) or "." in name.rpartition("/")[2]):
            return problem(MissingError(f"there is nothing at {name}", code="http.missing"))
        file = files.get(name) or files[PAGE]
        return await _given(request, file)

    def _found(self) -> Mapping[str, StaticFile]:
        try:
            built = (self._dist / PAGE).stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if built != self._built:
            self._files = dict(_files(self._dist))
            self._built = built
        return self._files


def _files(dist: Path) -> Iterator[tuple[str, StaticFile]]:
    suffixes = tuple(suffix for _, suffix in ENCODINGS)
    for path in sorted(dist.rglob("*")):
        name = path.relative_to(dist).as_posix()
        if path.is_file() and not name.endswith(suffixes):
            yield name, StaticFile(path, name)


async def _given(request: Request, file: StaticFile) -> Response:
    encoding = file.encoding(request.headers.get("accept-encoding", ""))
    data, tag = await run_in_threadpool(file.read, encoding)
    headers = {
        **CAREFUL,
        "Cache-Control": file.caching,
        "ETag": tag,
        "Vary": "Accept-Encoding",
        **({"Content-Encoding": encoding} if encoding else {}),
    }
    known = [one.strip().removeprefix("W/") for one in _if_none_match(request).split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(data, 200, headers, file.media_type)


def _if_none_match(request: Request) -> str:
    return request.headers.get("if-none-match", "")


async def _home(request: Request) -> Response:
    """Send people to the console; programs hear that nothing is here."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"{BASE}/", 302, {"Cache-Control": "no-store"})
    return problem(MissingError("there is nothing at /", code="http.missing"))


def routes(dist: Path = DIST) -> list[BaseRoute]:
    """Return the addresses of the console."""
    console = Console(dist)
    return [
        Route("/", _home),
        Route(BASE, lambda request: RedirectResponse(f"{BASE}/", 308)),
        Route(BASE + "/{path:path}", console.give),
    ]
