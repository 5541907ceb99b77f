"""Help desks are asked on the internet and in allowed networks, and nowhere else (TRUST.md T15)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import override_settings

from portal.tenancy.context import acting
from tests import roles
from tests.factories import Cast
from tests.tickets.connectors import zammad
from tests.tickets.connectors.entering import connected
from tickets import pulling
from tickets.connectors.http import Http, HttpTrouble
from tickets.connectors.reaching import may_reach

HERE = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


class Sink:
    """A server on this machine that counts who connects, and answers."""

    def __init__(self, answer: bytes = ANSWER, *, drip: float = 0.0) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.connections = 0
        self._answer, self._drip, self.over = answer, drip, threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                self._speak(peer)

    def _speak(self, peer: socket.socket) -> None:
        peer.recv(4096)
        if not self._drip:
            peer.sendall(self._answer)
            return
        for byte in self._answer:
            try:
                peer.sendall(bytes([byte]))
            except OSError:
                return
            if self.over.wait(self._drip):
                return

    def close(self) -> None:
        self.over.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self._thread.join(5)


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


def asked(url: str, networks: Any = ()) -> Any:
    """What an address answers."""
    http = Http(url, sleep=lambda _: None)
    http.reach(networks)
    try:
        return http.get("/latest/meta-data/").json()
    finally:
        http.close()


NAMES = [
    *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.2", "LOCALHOST"),
]


@pytest.mark.parametrize("name", NAMES)
def test_this_machine_is_not_connected_to_however_it_is_written(sink: Sink, name: str) -> None:
    with pytest.raises(HttpTrouble, match=r"HELP_DESK_NETWORKS|cannot be reached"):
        asked(f"http://{name}:{sink.port}")
    assert sink.connections == 0


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "2130706433"])
def test_an_allowed_network_is_connected_to(sink: Sink, name: str) -> None:
    """The negative control: the same addresses, and the sink is reached."""
    assert asked(f"http://{name}:{sink.port}", HERE) == {}
    assert sink.connections == 1


def test_a_name_that_leads_elsewhere_the_second_time_leads_nowhere(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at and connected to is one address: there is no second look-up to be misled by."""
    answers = iter(["203.0.113.9", "127.0.0.1"])

    def resolved(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), sink.port))]

    monkeypatch.setattr("tickets.connectors.reaching.socket.getaddrinfo", resolved)
    with pytest.raises(HttpTrouble):
        asked("http://desk.example.org")
    assert sink.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1"),
        *("ff0e::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::"),
        *("::127.0.0.1", "fec0::1", "fe80::1%eth0"),
    ],
)
def test_what_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not may_reach(address, ())
    assert not may_reach(address, [ip_network("198.51.100.0/24")])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8"])
def test_the_internet_is_reached(address: str) -> None:
    assert may_reach(address, ())


def test_an_allowed_network_allows_itself_alone() -> None:
    ours = [ip_network("10.20.0.0/16")]
    assert may_reach("10.20.3.4", ours)
    assert may_reach("::ffff:10.20.3.4", ours)
    assert not may_reach("10.21.3.4", ours)
    assert not may_reach("127.0.0.1", ours)


@pytest.mark.parametrize("head", [ANSWER, b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 200])
def test_an_answer_that_comes_by_drops_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr("tickets.connectors.http.ANSWER_SECONDS", 1.0)
    sink = Sink(head, drip=0.2)
    try:
        with pytest.raises(HttpTrouble, match="took longer than"):
            asked(f"http://127.0.0.1:{sink.port}", HERE)
    finally:
        sink.close()
    assert sink.connections == 1


def test_the_operators_networks_are_those_of_pulls(cast: Cast, sink: Sink) -> None:
    connection = connected(cast, "zammad", zammad.WORDS)
    connection.base_url = f"http://127.0.0.1:{sink.port}"
    with roles.as_role(roles.WORKER), acting(cast.acme.pk):
        with (
            closing(pulling.open_http(connection)) as http,
            pytest.raises(HttpTrouble, match="nobody has allowed its network"),
        ):
            http.get("/")
        assert sink.connections == 0
        with (
            override_settings(HELP_DESK_NETWORKS=HERE),
            closing(pulling.open_http(connection)) as http,
        ):
            assert http.get("/").json() == {}
