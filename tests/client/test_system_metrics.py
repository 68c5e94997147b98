# SPDX-License-Identifier: Apache-2.0
"""How the machine fared: figures of a written /proc that can be checked by hand, and of this machine's own."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from mainstay.client import capture, system_metrics
from mainstay.client.system_metrics import Sampler


def write(proc: Path, *, busy: int, idle: int, read: int, received: int) -> None:
    (proc / "net").mkdir(exist_ok=True)
    (proc / "self").mkdir(exist_ok=True)
    (proc / "stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    (proc / "diskstats").write_text(f"   8 0 disk 1 0 {read} 0 1 0 4000 0\n   8 1 disk1 1 0 99 0 1 0 99 0\n")
    (proc / "net" / "dev").write_text(
        "Inter-|\n face |bytes\n"
        "    lo: 999999999 0 0 0 0 0 0 0 999999999 0 0 0 0 0 0 0\n"
        f"  eth0: {received} 0 0 0 0 0 0 0 1000 0 0 0 0 0 0 0\n"
    )
    (proc / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    (proc / "self" / "statm").write_text("100 50 1 1 0 1 0\n")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    moments = iter([100.0, 110.0])
    monkeypatch.setattr(system_metrics.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(system_metrics, "_is_disk", lambda name: name == "disk")
    monkeypatch.setattr(system_metrics.os, "sysconf", lambda _name: 4096)
    write(tmp_path, busy=100, idle=100, read=0, received=0)
    return tmp_path


def test_rates_are_over_the_interval_and_levels_as_they_are(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "gpus", lambda *_: [("83", "1024", "[N/A]", "61")])
    sampler = Sampler(lambda *_: None, proc=proc)
    write(proc, busy=130, idle=110, read=40_000, received=5_000_000)

    found = sampler.sample()

    assert found.pop("system/disk_percent") > 0
    assert found == pytest.approx(
        {
            "system/cpu_percent": 75.0,
            "system/disk_read_mb_s": 2.048,
            "system/disk_written_mb_s": 0.0,
            "system/network_received_mb_s": 0.5,
            "system/network_sent_mb_s": 0.0,
            "system/memory_percent": 75.0,
            "system/process_memory_mb": 0.2048,
            "system/gpu_0_percent": 83.0,
            "system/gpu_0_memory_mb": 1024.0,
            "system/gpu_0_celsius": 61.0,
        }
    )


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    found = Sampler(lambda *_: None, proc=tmp_path / "none").sample()

    assert set(found) <= {"system/disk_percent"}


def test_samples_come_until_it_is_stopped_and_an_error_does_not_end_them() -> None:
    steps: list[int] = []
    enough = threading.Event()

    def log(found: dict[str, float], step: int) -> None:
        steps.append(step)
        if step == 3:
            enough.set()
        if step == 1:
            raise RuntimeError("full")

    sampler = Sampler(log, every_s=0.001)
    sampler.start()
    assert enough.wait(timeout=60)
    sampler.stop()
    sampler._thread.join(timeout=60)

    assert not sampler._thread.is_alive()
    assert steps == list(range(len(steps)))


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc here")
def test_this_machine_tells_the_usual_figures() -> None:
    sampler = Sampler(lambda *_: None)
    sum(n * n for n in range(300_000))  # some ticks must pass

    found = sampler.sample()

    assert {"system/memory_percent", "system/process_memory_mb", "system/network_sent_mb_s"} <= set(found)
    assert all(value >= 0 for value in found.values())
