# SPDX-License-Identifier: Apache-2.0
"""The way out leads to public addresses only, in whatever disguise a private one comes, and follows nobody."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from mainstay.domain.errors import Invalid, Unavailable
from mainstay.server import egress

INSIDE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::", "ff02::1",
]  # fmt: skip


class Receiver(BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, dict[str, str], bytes]] = (200, {}, b"thanks")
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, dict(self.headers), body))
        status, headers, content = self.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    class Own(Receiver):
        seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
        url = ""

    server = HTTPServer(("127.0.0.1", 0), Own)
    Own.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Own
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not egress.is_public(ipaddress.ip_address(address), allow_loopback=False)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_an_address_outside_is_public(address: str) -> None:
    assert egress.is_public(ipaddress.ip_address(address), allow_loopback=False)


def test_only_loopback_opens_by_the_setting() -> None:
    opened = [text for text in INSIDE if egress.is_public(ipaddress.ip_address(text), allow_loopback=True)]

    assert all(
        ipaddress.ip_address(text) in ipaddress.ip_network("127.0.0.0/8")
        for text in opened
        if "." in text and ":" not in text
    )
    assert {"127.0.0.1", "::1"} <= set(opened)
    assert not {
        "10.0.0.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "0.0.0.0",
        "fc00::1",
    } & set(opened)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com", "file:///etc/passwd", "http://", "//example.com", "http://name:word@example.com/", "http://[::1",
        "x",
        "http://example.com:99999/", "http://example.com/a b", "http://exämple.com/", "gopher://127.0.0.1", "http://h/\r\nX: y",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        egress.parse(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://localhost/x", "http://[::1]/x", "http://2130706433/", "http://0/"]
)
def test_an_address_that_leads_inside_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(Invalid, match="not a public address"):
        egress.check(url, allow_loopback=False)
    with pytest.raises(Invalid, match="not a public address"):
        egress.post(url, b"{}", {}, allow_loopback=False)


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 80)) for text in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: answers)

    with pytest.raises(Invalid, match=r"10\.0\.0\.1"):
        egress.post("http://both.example/", b"", {}, allow_loopback=False)


def test_the_connection_goes_to_the_address_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch, receiver: type[Receiver]
) -> None:
    port = int(receiver.url.rpartition(":")[2])
    asked: list[str] = []

    def once(host: str, *arguments: Any, **more: Any) -> list[Any]:
        asked.append(host)
        assert host in ("rebind.example", "127.0.0.1"), "the name was resolved again"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    answer = egress.post(f"http://rebind.example:{port}/a?b=c", b"{}", {"X-A": "b"}, allow_loopback=True)

    assert (answer.status, answer.body) == (200, "thanks")
    assert asked.count("rebind.example") == 1
    path, headers, body = receiver.seen[0]
    assert (path, headers["Host"], headers["X-A"], body) == ("/a?b=c", f"rebind.example:{port}", "b", b"{}")


def test_a_redirect_is_an_answer_not_a_way(receiver: type[Receiver]) -> None:
    receiver.answer = (302, {"Location": receiver.url + "/elsewhere"}, b"")

    assert egress.post(receiver.url + "/first", b"{}", {}, allow_loopback=True).status == 302
    assert [path for path, *_ in receiver.seen] == ["/first"]


def test_a_long_answer_is_cut_off(receiver: type[Receiver]) -> None:
    receiver.answer = (200, {}, b"x" * (egress.MOST_ANSWER_BYTES * 2))

    assert len(egress.post(receiver.url, b"{}", {}, allow_loopback=True).body) == egress.MOST_ANSWER_BYTES


def test_nobody_there_can_be_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    with pytest.raises(Unavailable, match="does not answer"):
        egress.post(f"http://127.0.0.1:{port}/", b"{}", {}, allow_loopback=True)
