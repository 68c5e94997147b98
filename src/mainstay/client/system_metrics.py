# SPDX-License-Identifier: Apache-2.0
"""How the machine fared while a run went on: processor, memory, disk, network, GPU, every ten seconds as ``system/…``.

Read from ``/proc`` and ``nvidia-smi``; where neither is, there is nothing to tell. A run shorter than ten seconds has
none of it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mainstay.client import capture

EVERY_S = 10.0
_SECTOR = 512
_GPU = {"percent": "utilization.gpu", "memory_mb": "memory.used", "watts": "power.draw", "celsius": "temperature.gpu"}


class Sampler:
    """Tells ``log`` the numbers of each interval, on a thread of its own, until it is stopped."""

    def __init__(
        self, log: Callable[[dict[str, float], int], None], *, every_s: float = EVERY_S, proc: Path = Path("/proc")
    ) -> None:
        self._log = log
        self._every_s = every_s
        self._proc = proc
        self._before = self._counters()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mainstay-system-metrics", daemon=True)

    def start(self) -> None:
        """Begin the first interval."""
        self._thread.start()

    def stop(self) -> None:
        """No more numbers; the interval that is not over has none."""
        self._stopped.set()

    def sample(self) -> dict[str, float]:
        """The numbers since the last sample: rates over that time, and levels as they are now."""
        before, self._before = self._before, self._counters()
        return {f"system/{name}": value for name, value in (_rates(before, self._before) | self._levels()).items()}

    def _work(self) -> None:
        number = 0
        while not self._stopped.wait(self._every_s):
            # A number that cannot be read today is no reason to end a training.
            with contextlib.suppress(Exception):
                self._log(self.sample(), number)
            number += 1

    def _counters(self) -> dict[str, float]:
        found = {"at": time.monotonic()}
        with contextlib.suppress(OSError, ValueError, IndexError):
            ticks = [int(word) for word in self._lines("stat")[0].split()[1:9]]
            found |= {"ticks": sum(ticks), "idle_ticks": ticks[3] + ticks[4]}
        with contextlib.suppress(OSError, ValueError, IndexError):
            # Whole disks only: what a partition moves is counted by its disk as well.
            disks = [line.split() for line in self._lines("diskstats") if _is_disk(line.split()[2])]
            found["disk_read"] = sum(int(words[5]) * _SECTOR for words in disks)
            found["disk_written"] = sum(int(words[9]) * _SECTOR for words in disks)
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = [line.partition(":") for line in self._lines("net/dev")[2:]]
            faces = [rest.split() for name, _, rest in lines if name.strip() != "lo"]
            found["network_received"] = sum(int(words[0]) for words in faces)
            found["network_sent"] = sum(int(words[8]) for words in faces)
        return found

    def _levels(self) -> dict[str, float]:
        found: dict[str, float] = {}
        with contextlib.suppress(OSError, ValueError, KeyError):
            memory = {line.split(":")[0]: int(line.split()[1]) for line in self._lines("meminfo") if ":" in line}
            found["memory_percent"] = 100 * (1 - memory["MemAvailable"] / memory["MemTotal"])
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(self._lines("self/statm")[0].split()[1])
            found["process_memory_mb"] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        with contextlib.suppress(OSError, AttributeError, ZeroDivisionError):
            disk = os.statvfs(".")
            found["disk_percent"] = 100 * (1 - disk.f_bavail / disk.f_blocks)
        for number, row in enumerate(capture.gpus(*_GPU.values())):
            for name, cell in zip(_GPU, row, strict=True):
                with contextlib.suppress(ValueError):  # "[N/A]": this card does not say
                    found[f"gpu_{number}_{name}"] = float(cell)
        return found

    def _lines(self, name: str) -> list[str]:
        return (self._proc / name).read_text().splitlines()


def _rates(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    grown = {name: after[name] - before[name] for name in after if name in before}
    seconds, found = grown.pop("at"), {}
    ticks, idle = grown.pop("ticks", 0), grown.pop("idle_ticks", 0)
    if ticks > 0:
        found["cpu_percent"] = 100 * (1 - idle / ticks)
    if seconds > 0:
        found |= {f"{name}_mb_s": count / seconds / 1e6 for name, count in grown.items()}
    return found


def _is_disk(name: str) -> bool:
    return (Path("/sys/block") / name).exists() and not name.startswith(("loop", "ram", "dm-"))
