# SPDX-License-Identifier: Apache-2.0
"""The way out: a POST to an address that somebody else chose, which must not become a way in.

In: an address, headers, bytes. Out: status and the beginning of the answer. The name is resolved once; every address that it
gives must be public, and the connection goes to one of those that were looked at, so that a name which answers differently the
second time gains nothing. No redirect is followed, no proxy of the environment is used, and what comes back is cut off.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

from mainstay.domain.errors import Invalid, Unavailable

TIMEOUT_S = 10.0  # for each step of the exchange
DEADLINE_S = 30.0  # for all of it: an answer that drips must not hold us
MOST_ANSWER_BYTES = 64 << 10

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Target(NamedTuple):
    """A parsed address."""

    scheme: str
    host: str
    port: int
    path: str


class Answer(NamedTuple):
    """What came back; ``body`` is cut off after some kilobytes."""

    status: int
    body: str


def parse(url: str) -> Target:
    """The parts of an address.

    Raises:
        Invalid: it is no http or https address, or it holds a name and password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise Invalid(f"address {url[:80]!r} cannot be read; https://host/path is expected.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"address {url[:80]!r} is not usable; https://host/path is expected.")
    if parts.username or parts.password:
        raise Invalid(f"address of {parts.hostname!r} holds a name or password; put a secret on the webhook instead.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(ord(sign) < 33 or ord(sign) > 126 for sign in path + parts.hostname):
        raise Invalid(f"address {url[:80]!r} holds signs that must be percent-encoded.")
    return Target(parts.scheme, parts.hostname, port, path)


def check(url: str, *, allow_loopback: bool) -> None:
    """Pass if ``url`` may be kept: readable, and not known to lead inside. It is looked at again whenever something is sent.

    Raises:
        Invalid: it leads to this machine or a private network.
    """
    target = parse(url)
    try:
        resolve(target, allow_loopback=allow_loopback)
    except Unavailable:
        return  # a name that nobody knows now may be known later


def resolve(target: Target, *, allow_loopback: bool) -> list[str]:
    """The addresses of a host.

    Raises:
        Invalid: one of them is not public. Unavailable: the name is not known.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"host {target.host!r} is not known to this machine's resolver; try again later.") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if not is_public(ipaddress.ip_address(text.partition("%")[0]), allow_loopback=allow_loopback):
            raise Invalid(
                f"host {target.host!r} leads to {text}, which is not a public address; nothing is sent into private networks."
            )
    return addresses


def is_public(address: Address, *, allow_loopback: bool) -> bool:
    """Whether an address is somebody else's: no loopback, private, link-local, metadata or multicast one, in any disguise."""
    inner = _inner(address)
    if allow_loopback and inner.is_loopback:
        return True
    return inner.is_global and not inner.is_multicast and not inner.is_reserved and not inner.is_unspecified


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_loopback: bool) -> Answer:
    """Send ``body``.

    Raises:
        Invalid: the address may not be reached. Unavailable: it does not answer.
    """
    target = parse(url)
    addresses = resolve(target, allow_loopback=allow_loopback)
    connection = _Pinned(target, addresses)
    deadline = threading.Timer(DEADLINE_S, connection.cut)
    deadline.daemon = True
    deadline.start()
    try:
        connection.request("POST", target.path, body=body, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(MOST_ANSWER_BYTES).decode(errors="replace"))
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        raise Unavailable(f"host {target.host!r} does not answer: {type(error).__name__}.") from error
    finally:
        deadline.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to one of the addresses that were looked at, under the host's own name."""

    def __init__(self, target: Target, addresses: list[str]) -> None:
        super().__init__(target.host, target.port, timeout=TIMEOUT_S)
        self._target = target
        self._addresses = addresses
        self.default_port = 443 if target.scheme == "https" else 80

    def connect(self) -> None:
        plain = self._reached()
        if self._target.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._target.host)
        else:
            self.sock = plain

    def cut(self) -> None:
        """End the exchange, from another thread."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _reached(self) -> socket.socket:
        failed: OSError | None = None
        for address in self._addresses:
            try:
                return socket.create_connection((address, self._target.port), timeout=TIMEOUT_S)
            except OSError as error:
                failed = error
        raise failed or OSError("no address")


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
