# SPDX-License-Identifier: Apache-2.0
"""A nursery: an interpreter that has loaded what almost every child needs, does nothing, and forks a child when asked.

In: Python code, as for ``python -c``, with an environment, a folder and three descriptors. Out: a child that begins at once
where a fresh interpreter would first load libraries for two seconds. The nursery has one thread, computes nothing and has seen
neither project nor token, so that its children are like fresh ones. Where it cannot serve (another system than Linux, packages
that were installed since, an environment too large to send) it says so, and who asks starts a fresh interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CAN_SERVE = sys.platform == "linux"  # elsewhere a fork of loaded libraries is not safe, or its end cannot be told
_LARGEST = 1 << 17  # bytes of an order
_BEGINS_WITHIN_S = 30.0  # it may be loading still
_BORN, _GONE = b"born", b"gone"
_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG
_ASIDE = 10  # niceness; on Linux each thread has its own


class Offspring:
    """A child of a nursery, as its user sees it. Its number names nobody else until it is closed: the nursery keeps the dead."""

    def __init__(self, pid: int, life: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._life = life

    def poll(self) -> int | None:
        """How it ended, negative for a signal; None while it lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(timeout=0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it lives on.
        """
        if self.returncode is None:
            told = _heard(self._life, timeout)
            if told is None:
                raise subprocess.TimeoutExpired("a child of the nursery", timeout or 0.0)
            # A nursery that was killed takes its children with it, and says nothing.
            self.returncode = int(told.removeprefix(_GONE)) if told else -signal.SIGKILL
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def close(self) -> None:
        """Let go of it; the nursery ends what it has left behind, if that was wanted."""
        self._life.close()

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


@dataclass(kw_only=True)
class Nursery:
    """``modules``: what it loads. ``environment``, ``folder``: its own, which its children leave at once.

    ``alone``: its children are to leave nothing behind, and it runs without the user's settings of Python.
    """

    modules: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    alone: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _asks: socket.socket | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Have it started, if it can serve here and is not there."""
        if not CAN_SERVE or (self._process is not None and self._process.poll() is None):
            return
        self.stop()
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told = {"path": sys.path if self.alone else None, "modules": list(self.modules), "alone": self.alone}
        self._process = subprocess.Popen(
            [sys.executable, *(("-I", "-B") if self.alone else ()), "-c", _BOOT, str(its.fileno()), json.dumps(told)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if self.alone else None,
            stderr=subprocess.DEVNULL if self.alone else None,
            pass_fds=[its.fileno()],
            env=dict(self.environment),
            cwd=self.folder,
            start_new_session=True,  # Ctrl-C on a terminal is for whoever started us
        )
        its.close()
        self._asks = mine

    def begin(
        self, code: str, *, environment: Mapping[str, str], folder: Path, descriptors: Sequence[int]
    ) -> Offspring | None:
        """A child that carries out ``code`` with these standard input, output and error; None: start a fresh interpreter."""
        if self._asks is None:
            return None
        order = json.dumps({"code": code, "environment": dict(environment), "folder": str(folder)}).encode()
        if len(order) > _LARGEST:
            return None
        life, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            try:
                socket.send_fds(self._asks, [order], [*descriptors, its.fileno()])
            except OSError:
                life.close()
                return None
        told = _heard(life, _BEGINS_WITHIN_S)
        if told is not None and told.startswith(_BORN):
            return Offspring(int(told.removeprefix(_BORN)), life)
        life.close()
        self.stop()
        return None

    def stop(self) -> None:
        """End it, and its children with it."""
        if self._asks is not None:
            self._asks.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._asks = None


def _heard(life: socket.socket, timeout: float | None) -> bytes | None:
    """What is said next; nothing at the end of it, None if the time is over before."""
    life.settimeout(timeout)
    try:
        return life.recv(64)
    except (TimeoutError, BlockingIOError):
        return None
    except OSError:
        return b""


# ── the nursery's side ─────────────────────────────────────────────────────────────────────────────────────────────

_BOOT = """
import json, os, sys
told = json.loads(sys.argv[2])
own = [] if told["alone"] or sys.path[:1] != [""] else [os.getcwd()]  # the project's modules are for its children to load
sys.path[:] = told["path"] or sys.path[len(own):]
from mainstay.engine.jobs import nursery
code = nursery.serve(int(sys.argv[1]), told["modules"], told["alone"])
if code:
    sys.path[:0] = own
    del sys.argv[1:], told, own, nursery
    exec(code)
"""


@dataclass(kw_only=True, eq=False)
class _Cradle:
    """A child and the socket on which its user hears of it."""

    pid: int
    life: socket.socket
    is_gone: bool = False
    is_left: bool = False  # its user has let go of it

    def look(self) -> None:
        """Tell when it has ended, and leave it unburied: its number is its user's still."""
        if self.is_gone:
            return
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return
        self.is_gone = True
        code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        with contextlib.suppress(OSError):
            self.life.send(_GONE + b"%d" % code)

    def leave(self, *, alone: bool) -> None:
        """Its user has let go of it: end what it has left behind, if that is wanted."""
        self.is_left = True
        if alone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)


class _Nursery:
    """The nursery itself: one thread that sleeps until somebody asks, lets go, or has ended."""

    def __init__(self, asks: int, *, alone: bool) -> None:
        self.asks = socket.socket(fileno=asks)
        self.alone = alone
        self.packages = _installed()
        self.cradles: dict[int, _Cradle] = {}
        self.poll = select.poll()
        self.ends, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        signal.set_wakeup_fd(self._wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for each in (asks, self.ends):
            self.poll.register(each, select.POLLIN)

    def serve(self) -> str:
        """See `serve`."""
        is_open = True
        while is_open or self.cradles:
            for number, _ in self.poll.poll():
                if number == self.ends:
                    os.read(number, 4096)
                elif number in self.cradles:
                    self.poll.unregister(number)
                    self.cradles[number].leave(alone=self.alone)
                elif code := self._answer():
                    return code
                else:
                    is_open = self.asks.fileno() >= 0
            self._bury()
        return ""

    def _answer(self) -> str:
        """Fork, or close. The code to carry out, in the child."""
        data, fds, _, _ = socket.recv_fds(self.asks, _LARGEST, 4)
        if not data or self.packages != _installed():
            self.poll.unregister(self.asks)
            self.asks.close()
        elif pid := _fork():
            life = socket.socket(fileno=fds.pop())
            self.cradles[life.fileno()] = _Cradle(pid=pid, life=life)
            self.poll.register(life, select.POLLRDHUP)
        else:
            return self._become(json.loads(data), fds)
        for fd in fds:
            os.close(fd)
        return ""

    def _become(self, order: dict[str, Any], fds: list[int]) -> str:
        """In the child: be what a fresh interpreter with this order would be."""
        os.setsid()
        ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, signal.SIGKILL, 0, 0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for fd in (self.ends, self._wakes):
            os.close(fd)
        for each in (self.asks, *(cradle.life for cradle in self.cradles.values())):
            each.close()
        life = socket.socket(fileno=fds.pop())
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        time.tzset()
        importlib.invalidate_caches()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()  # or all children would draw the same numbers
        life.send(_BORN + b"%d" % os.getpid())
        life.close()
        return str(order["code"])

    def _bury(self) -> None:
        for number, cradle in list(self.cradles.items()):
            cradle.look()
            if cradle.is_gone and cradle.is_left:
                os.waitpid(cradle.pid, 0)
                cradle.life.close()
                del self.cradles[number]


def serve(asks: int, modules: Sequence[str], alone: bool) -> str:
    """Load, then fork whenever asked. Returns in a child, with the code to carry out; at the end, with nothing."""
    nursery = _Nursery(asks, alone=alone)
    load_aside(modules)
    gc.freeze()  # what is loaded stays: a child's collector that looked at it would copy its pages
    return nursery.serve()


def _fork() -> int:
    # From 3.12 on Python warns where a library has threads. OpenBLAS has, ends them before a fork, and starts them when needed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def load(modules: Sequence[str]) -> None:
    """Import whatever is installed of these; hundreds of modules, of which nothing is garbage: a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    for name in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if was_on:
        gc.enable()


def load_aside(modules: Sequence[str]) -> None:
    """`load`, while whoever is waited for goes first: in a thread that yields the processor to others, where there are such."""

    def work() -> None:
        if CAN_SERVE:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _ASIDE)
        load(modules)

    thread = threading.Thread(target=work, name="mainstay-load")
    thread.start()
    thread.join()


def _installed() -> list[tuple[str, int]]:
    """When packages were last installed: libraries loaded before that must not be taken for those on the disk."""
    folders = [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    return [(str(folder), folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()]
