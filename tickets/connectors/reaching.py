"""Which machines a help desk's address may lead to, and for how long one of them may talk.

Whoever connects a source chooses its address, and may choose one inside our own network. So the
name is resolved here, only addresses of the internet and of networks that the operator allows are
connected to, and what was looked at is what is connected to (TRUST.md T15).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

Network = IPv4Network | IPv6Network

#: Called global, and yet they lead to any IPv4 address, or nowhere beyond the site.
_DISGUISED = [ip_network(one) for one in ("64:ff9b::/96", "::/96", "fec0::/10", "2002::/16")]


class NotAllowed(Exception):
    """A name leads only to networks that nobody allowed."""


def may_reach(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is one of the internet, or of a network that is allowed."""
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if any(found in network for network in networks):
        return True
    disguised = any(found in network for network in _DISGUISED)
    return found.is_global and not found.is_multicast and not disguised


class Reaching(HTTPAdapter):
    """Connects to allowed addresses only, and cuts what lasts too long."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self.networks = tuple(networks)
        #: A second handle on the connection in use: it stays when TLS takes over the first.
        self._line: socket.socket | None = None
        self.was_cut = False
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, self),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, self),
        }

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Cut the connection if what happens within takes longer; `was_cut` says so."""
        self.was_cut = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # it cuts nothing of the next request

    def hold(self, line: socket.socket) -> None:
        """Keep hold of a new connection, and let go of the one before."""
        self.let_go()
        self._line = line.dup()

    def let_go(self) -> None:
        """Close our handle; the connection itself is closed by whoever uses it."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _cut(self) -> None:
        self.was_cut = True
        line = self._line
        if line is not None:
            with suppress(OSError):  # it has ended by itself meanwhile
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.let_go()
        super().close()


def _pool(pool: type[Any], connection: type[Any], reaching: Reaching) -> type[Any]:
    """The pool whose connections are made as `reaching` allows."""
    made = type(connection.__name__, (_Allowed, connection), {"reaching": reaching})
    return type(pool.__name__, (pool,), {"ConnectionCls": made})


class _Allowed:
    """A connection that looks where a name leads before it connects."""

    reaching: Reaching
    _dns_host: str

    def _new_conn(self: Any) -> socket.socket:
        name = self._dns_host
        try:
            for address in _addresses(self, name):
                self._dns_host = address
                try:
                    line: socket.socket = super()._new_conn()  # type: ignore[misc]  # mixed in
                except (NewConnectionError, ConnectTimeoutError) as error:
                    failed = error
                else:
                    self.reaching.hold(line)
                    return line
        finally:
            self._dns_host = name
        raise failed


def _addresses(connection: Any, name: str) -> list[str]:
    """Where a name leads that may be connected to. Raises NotAllowed, and urllib3's own."""
    try:
        found = socket.getaddrinfo(name.strip("[]"), connection.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except UnicodeError as error:
        raise NewConnectionError(connection, f"{name!r} is no name of a machine") from error
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    allowed = [one for one in addresses if may_reach(one, connection.reaching.networks)]
    if not allowed:
        raise NotAllowed(name)
    return allowed
