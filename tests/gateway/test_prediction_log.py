# SPDX-License-Identifier: Apache-2.0
"""The prediction log: what is appended is kept, shipped once and in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain import segments
from mainstay.domain.errors import Conflict, Invalid, Unavailable
from mainstay.gateway import spool
from mainstay.gateway.prediction_log import LogSettings, PredictionLog, open_log


class Taker:
    """Takes segments as the control plane does; ``fails`` are raised first, one a call."""

    def __init__(self, *fails: Exception) -> None:
        self.fails = list(fails)
        self.taken: list[tuple[str, int, list[Any]]] = []

    def __call__(self, gateway: str, sequence: int, data: bytes) -> int:
        if self.fails:
            raise self.fails.pop(0)
        self.taken.append((gateway, sequence, [record["n"] for record in segments.decode(data)]))
        return len(self.taken[-1][2])


QUICK = LogSettings(sync_every_s=0.005, retry_first_s=0.01)


def record(n: int) -> bytes:
    return segments.encode([{"n": n}])


def running(root: Path, ship: Any, work: Callable[[PredictionLog], Any], settings: LogSettings = QUICK) -> Any:
    async def run() -> Any:
        log = open_log(root, ship, settings)
        log.start()
        try:
            return await work(log)
        finally:
            await log.close(timeout_s=5)

    return asyncio.run(run())


def test_closing_ships_what_was_appended_and_leaves_no_segment(tmp_path: Path) -> None:
    taker = Taker()

    async def work(log: PredictionLog) -> None:
        for n in range(3):
            log.append(record(n), 1)

    running(tmp_path, taker, work)

    assert [numbers for _, _, numbers in taker.taken] == [[0, 1, 2]]
    assert list(tmp_path.rglob("*.seg")) == []


def test_segments_rotate_by_size_and_arrive_in_order_despite_failures(tmp_path: Path) -> None:
    taker = Taker(Unavailable("away."), Unavailable("away."), OSError(errno.EIO, "io"))

    async def work(log: PredictionLog) -> None:
        for n in range(30):
            log.append(record(n), 1)
            await asyncio.sleep(0.006)

    running(tmp_path, taker, work, LogSettings(sync_every_s=0.005, retry_first_s=0.01, segment_bytes=60))

    assert [n for _, _, numbers in taker.taken for n in numbers] == list(range(30))
    assert len(taker.taken) > 2
    sequences = [sequence for _, sequence, _ in taker.taken]
    assert sequences == sorted(set(sequences))


def test_a_number_is_never_used_twice_even_when_everything_was_shipped(tmp_path: Path) -> None:
    taker = Taker()

    async def work(log: PredictionLog) -> None:
        log.append(record(0), 1)

    for _ in range(3):
        running(tmp_path, taker, work)

    assert len({(gateway, sequence) for gateway, sequence, _ in taker.taken}) == 3
    assert len({gateway for gateway, _, _ in taker.taken}) == 1


def test_recovery_cuts_at_the_first_damaged_record_and_ships_the_rest(tmp_path: Path) -> None:
    left = spool.claim(tmp_path)
    left.path(left.next_sequence()).write_bytes(record(1) + record(2) + record(3)[:-1] + b"?")
    left.path(left.next_sequence()).write_bytes(b"torn")
    left.release()
    taker = Taker()

    async def work(log: PredictionLog) -> None:
        log.append(record(4), 1)

    running(tmp_path, taker, work)

    assert [numbers for _, _, numbers in taker.taken] == [[1, 2], [4]]


def test_a_held_slot_is_not_touched(tmp_path: Path) -> None:
    held = spool.claim(tmp_path)
    held.path(held.next_sequence()).write_bytes(record(1))
    taker = Taker()

    async def work(log: PredictionLog) -> str:
        log.append(record(2), 1)
        return log.gateway

    assert running(tmp_path, taker, work) != held.gateway
    assert [numbers for _, _, numbers in taker.taken] == [[2]]
    assert len(held.segments()) == 1


def test_a_segment_refused_for_good_is_kept_aside_and_does_not_hold_up_the_next(tmp_path: Path) -> None:
    taker = Taker(Invalid("no."))

    async def work(log: PredictionLog) -> None:
        log.append(record(1), 1)
        await log.flush(timeout_s=5)
        log.append(record(2), 1)

    running(tmp_path, taker, work)

    assert [numbers for _, _, numbers in taker.taken] == [[2]]
    aside = next(tmp_path.rglob("*.refused"))
    assert segments.decode(aside.read_bytes()) == [{"n": 1}]


def test_a_segment_whose_number_was_used_before_is_shipped_under_another(tmp_path: Path) -> None:
    taker = Taker()

    def ship(gateway: str, sequence: int, data: bytes) -> int:
        if sequence == 1:
            raise Conflict("it came before with other bytes.")
        return taker(gateway, sequence, data)

    async def work(log: PredictionLog) -> None:
        log.append(record(1), 1)
        await log.flush(timeout_s=5)
        log.append(record(2), 1)

    running(tmp_path, ship, work)

    assert sorted(n for _, _, numbers in taker.taken for n in numbers) == [1, 2]
    assert len({sequence for _, sequence, _ in taker.taken}) == 2


@pytest.mark.parametrize("is_partial", [False, True])
@pytest.mark.parametrize("policy", ["fail_closed", "drop_and_count"])
def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_partial: bool, policy: Any
) -> None:
    taker, write = Taker(), os.write

    def full(handle: int, data: bytes) -> int:
        if is_partial:
            return write(handle, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    async def work(log: PredictionLog) -> None:
        log.append(record(1), 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            if policy == "fail_closed":
                with pytest.raises(Unavailable, match="policy fail_closed"):
                    log.append(record(2), 1)
            else:
                log.append(record(2), 1)
            assert log.fault is not None
        log.append(record(3), 1)
        assert log.fault is None
        assert log.figures.dropped == (policy == "drop_and_count")

    running(tmp_path, taker, work, LogSettings(sync_every_s=60, when_full=policy))

    assert [numbers for _, _, numbers in taker.taken] == [[1, 3]]


def test_a_write_that_cannot_be_taken_back_ends_its_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taker, write = Taker(), os.write

    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def work(log: PredictionLog) -> None:
        log.append(record(1), 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(Unavailable):
                log.append(record(2), 1)
        while True:
            try:
                log.append(record(3), 1)
                return
            except Unavailable:
                await asyncio.sleep(0.005)

    running(tmp_path, taker, work)

    assert taker.taken[-1][2] == [3]


def test_flushing_for_an_old_prediction_leaves_the_open_segment_alone(tmp_path: Path) -> None:
    taker = Taker()

    async def work(log: PredictionLog) -> tuple[bool, int, bool, int]:
        log.append(record(1), 1)
        old = await log.flush(1_000, timeout_s=5)
        before = len(taker.taken)
        new = await log.flush(2**47, timeout_s=5)
        return old, before, new, len(taker.taken)

    assert running(tmp_path, taker, work) == (True, 0, True, 1)
