"""Who is asking: the client's address, behind proxies or not.

Anybody can send an X-Forwarded-For header. It is believed only from the proxies in the
setting BURN_NOTE_TRUSTED_PROXIES, from the right end, where each proxy appends the
address that connected to it, up to the first that is not one of those proxies.
"""

from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.http import HttpRequest

from . import conf

Address = IPv4Address | IPv6Address


def client_ip(request: HttpRequest) -> Address | None:
    """Returns the address of the client, or None if nothing trustworthy tells it."""
    trusted = _networks(tuple(conf.get("BURN_NOTE_TRUSTED_PROXIES")))
    peer = request.META.get("REMOTE_ADDR", "")
    if peer == "":
        address, is_trusted = None, "unix" in conf.get("BURN_NOTE_TRUSTED_PROXIES")
    else:
        address = _parse(peer)
        is_trusted = _is_in(address, trusted)

    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while is_trusted and hops:
        hop = hops.pop().strip()
        if hop == "":
            break
        address = _parse(hop)
        is_trusted = _is_in(address, trusted)
    return address


@cache
def _networks(proxies: tuple[str, ...]):
    return [ip_network(proxy) for proxy in proxies if proxy != "unix"]


def _is_in(address: Address | None, networks) -> bool:
    return address is not None and any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    try:
        # without a zone ("fe80::1%eth0"), which PostgreSQL's inet does not know
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # what a socket that listens on both families says of an IPv4 client
    return getattr(address, "ipv4_mapped", None) or address
