"""What is read off an HTTP request: its body, its bearer's token, its origin, whence it comes."""

import json
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web

from signaling.errors import Refused

# An IPv6 customer has 2**64 addresses at least, and is one.
_IPV6_CUSTOMER = 64


def bearer(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer <token>`."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def json_body(request: web.Request) -> object:
    """The body as JSON. Raises Refused(message.malformed)."""
    try:
        document: object = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise Refused("message.malformed", "not JSON") from None
    return document


def check_origin(request: web.Request, origins: Collection[str]) -> None:
    """Raise Refused(origin.forbidden) for a page of another origin; a script has none."""
    origin = request.headers.get("Origin")
    if origin is not None and origin not in origins:
        raise Refused("origin.forbidden")


def client_network(request: web.Request, proxies: Collection[IPv4Network | IPv6Network]) -> str:
    """Whence a request comes: an IPv4 address, or the /64 of an IPv6 address.

    Of a trusted proxy it is what the proxy put at the end of X-Forwarded-For: whatever is
    before that, anyone may have written.
    """
    peer = request.remote or ""
    if _is_one_of(peer, proxies):
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ()))
        last = forwarded.rpartition(",")[2].strip()
        return _network(last) or _network(peer)
    return _network(peer)


def _is_one_of(peer: str, proxies: Collection[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in proxy for proxy in proxies)


def _network(text: str) -> str:
    """Empty for what is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ip_network((address.packed, _IPV6_CUSTOMER), strict=False))
    return str(address)
