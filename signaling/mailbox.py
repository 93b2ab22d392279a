"""The mails on disk, over HTTP: for people at this very machine, who have no mail server."""

from collections.abc import Collection
from dataclasses import dataclass

from aiohttp import web

from rooms.mail.disk import Mailbox
from signaling.protocol import MailboxSaid, said


@dataclass(frozen=True, slots=True)
class MailboxApi:
    """The route. origins: by which names this server is found."""

    mailbox: Mailbox
    origins: Collection[str]

    def attach(self, app: web.Application) -> None:
        """Serve the route, on an application made by `signaling.http.application`."""
        app.router.add_get("/api/mail", self.newest)

    async def newest(self, request: web.Request) -> web.Response:
        """The mails, newest first."""
        # Else a page whose name its owner has made point here would be of the same origin.
        if f"{request.scheme}://{request.host}" not in self.origins:
            raise web.HTTPNotFound
        return web.json_response(said(MailboxSaid, {"mails": await self.mailbox.newest()}))
