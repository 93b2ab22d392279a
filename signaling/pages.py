"""The pages and their files: what the build put into static/dist, and nothing beside it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

DIST: Final = Path(__file__).resolve().parent.parent / "static" / "dist"

_PAGES: Final = {
    "/": "index.html",
    "/room/{session_id:[A-Za-z0-9_-]+}": "room.html",
    "/sign-in": "sign-in.html",
    "/reset": "reset.html",
    "/dashboard": "dashboard.html",
    "/operations": "operations.html",
}
_NOT_BUILT: Final = (
    "<!doctype html><html lang=en><title>Plumm</title>"
    "<h1>The pages are not built yet</h1>"
    "<p>Run <code>make build</code> in the source directory, then reload this page.</p></html>"
)
# The build puts a hash of the content into the name.
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_REVALIDATE: Final = {"Cache-Control": "no-cache"}


def add_pages(app: web.Application, dist: Path = DIST, *, mail: bool = False) -> None:
    """Serve every page and `/assets/<name>` from a build; `/mail` only where it is asked for."""

    async def asset(request: web.Request) -> web.StreamResponse:
        file = dist / "assets" / request.match_info["name"]
        if not file.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(file, headers=_IMMUTABLE)

    pages = _PAGES | ({"/mail": "mail.html"} if mail else {})
    for path, name in pages.items():
        app.router.add_get(path, _serving(dist / name))
    # One name without a slash and not starting with a dot: there is no way out of assets/.
    app.router.add_get("/assets/{name:[A-Za-z0-9_-][A-Za-z0-9._-]*}", asset)


def _serving(file: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(_: web.Request) -> web.StreamResponse:
        return _page(file)

    return serve


def _page(file: Path) -> web.StreamResponse:
    if not file.is_file():
        return web.Response(text=_NOT_BUILT, content_type="text/html", status=503)
    return web.FileResponse(file, headers=_REVALIDATE)
