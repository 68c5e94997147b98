# SPDX-License-Identifier: Apache-2.0
"""Sweeps: many trainings in search of good parameters, by Optuna, as one run with a run inside it for each trial.

In: a function that trains with what a trial suggests, and gives its value. Out: Optuna's study, and on record the trials
(their parameters, values and whatever they log) and the best of them. A study in a storage of Optuna's own goes on in
the same sweep, also from another process. Whoever calls ``study.optimize`` himself hands it a `SweepCallback`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mainstay import settings
from mainstay.client import recording
from mainstay.client import session as sessions
from mainstay.client.recording import Recording
from mainstay.client.session import Session
from mainstay.domain import ids
from mainstay.domain.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    import optuna

KIND = "sweep"
TURNS = 5  # so often a sweep that others end is opened again for one trial
SWEEP, RUN = "mainstay_sweep", "mainstay_run"  # what a study and a trial know us by

Value = float | Sequence[float]


def sweep(
    name: str,
    objective: Callable[[optuna.Trial], Value],
    *,
    trials: int | None = None,
    direction: str = "minimize",
    study: optuna.Study | None = None,
    storage: Any = None,
    timeout_s: float | None = None,
    workers: int = 1,
    catch: tuple[type[Exception], ...] = (),
    **facts: Any,
) -> optuna.Study:
    """Ask ``objective`` for the value of one trial after the other; the study, with all of them.

    Args:
        trials: how many more; without it, until ``timeout_s`` is over. study: one of your own, with a sampler, a pruner or
            several directions. storage: where Optuna keeps a study called ``name``, which goes on if it is there.
        workers: threads that try at the same time. catch: errors that only end their own trial. facts: as for `run`.

    Raises:
        Unavailable: Optuna is not installed.
    """
    optuna = _optuna()
    if study is None:
        study = optuna.create_study(study_name=name, storage=storage, direction=direction, load_if_exists=True)
    with _Sweep(name, study, facts) as found:
        study.optimize(
            lambda trial: found.tried(objective, trial), n_trials=trials, timeout=timeout_s, n_jobs=workers, catch=catch
        )
    return study


class SweepCallback:
    """Trials of a study that you run yourself, each on record once it has ended: ``callbacks=[ms.SweepCallback()]``.

    The sweep ends with the process, or with the block, where it is used as one. Processes that share a study share the sweep,
    and a study that goes on later goes on in it.

    Args:
        name: of the sweep; default: the study's. facts: as for `run`.
    """

    def __init__(self, name: str | None = None, **facts: Any) -> None:
        self._name = name
        self._facts = facts
        self._lock = threading.Lock()
        self._sweeps: dict[str, _Sweep] = {}

    def __call__(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        with self._lock:  # Optuna calls from each of its threads
            sweep = self._sweeps.get(study.study_name)
            if sweep is None:
                name = self._name or study.study_name
                sweep = self._sweeps[study.study_name] = _Sweep(name, study, self._facts, identity=_identity(study))
                # After the run has begun: what is registered last is called first.
                atexit.register(self.finish)
            sweep.told(trial)

    def __enter__(self) -> SweepCallback:
        return self

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        self.finish(None if error is None else f"{type(error).__name__}: {error}")

    def finish(self, error: str | None = None) -> None:
        """End the sweep; with ``error``, as failed."""
        with self._lock:
            while self._sweeps:
                self._sweeps.popitem()[1].finish(error)


def _identity(study: optuna.Study, number: int | None = None) -> str | None:
    """The id of a trial's run, or of the sweep, the same in each process; None while nobody knows when it began."""
    trials = study.get_trials(deepcopy=False)
    begun = [trial.datetime_start for trial in trials if trial.number == number or number is None]
    began = next((moment for moment in begun if moment is not None), None)
    if began is None:
        return None
    return ids.named(began, json.dumps([study.study_name, number, began.isoformat()]).encode())


class _Sweep:
    """The run around the trials."""

    def __init__(self, name: str, study: optuna.Study, facts: dict[str, Any], *, identity: str | None = None) -> None:
        self._name = name
        self._study = study
        self._facts = facts
        known = study.user_attrs.get(SWEEP) or self._there(identity)
        self._run = self._begun(identity) if known is None else self._resumed(known)

    def __enter__(self) -> _Sweep:
        self._run.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._has_best():
            self._tell_best()
        self._run.__exit__(kind, error, trace)

    def told(self, trial: optuna.trial.FrozenTrial) -> None:
        """A trial that has ended, as a run that began when the trial did."""
        self._open()
        run = self._child(trial.number, _identity(self._study, trial.number))
        run.log_params(trial.params)
        run.set_tags({"trial": trial.number, "trial_state": trial.state.name.lower()})
        run.set_tags({f"user/{key}": str(value) for key, value in trial.user_attrs.items()})
        for step, value in trial.intermediate_values.items():
            run.log_metric("intermediate", value, step)
        if trial.state.name == "COMPLETE":
            run.log_metrics(_objectives(trial.values))
        run.finish("the trial failed" if trial.state.name == "FAIL" else None)

    def finish(self, error: str | None) -> None:
        """End the sweep, unless another process is in the midst of a trial: that one will."""
        if any(trial.state.name == "RUNNING" for trial in self._trials()):
            self._run.let_go()
            return
        self._open()
        if self._has_best():
            self._tell_best()
        self._run.finish(error)

    def _there(self, identity: str | None) -> str | None:
        """The sweep's id, if another process of the study has begun it."""
        if identity is None or self._is_offline():
            return None
        with contextlib.suppress(NotFound, Unavailable):
            self._session().get(f"/runs/{identity}")
            return identity
        return None

    def _session(self) -> Session:
        return self._facts.get("session") or sessions.default()

    def _is_offline(self) -> bool:
        return bool(self._facts.get("offline", settings.get("offline")))

    def _open(self) -> None:
        """Have the sweep open at the server: another process, which had its part of the trials, may have ended it meanwhile."""
        if self._is_offline():
            return
        session = self._session()
        with contextlib.suppress(Conflict, Unavailable):  # somebody else opened it first; nobody answers
            if session.get(f"/runs/{self._run.id}")["state"] != "running":
                session.post(f"/runs/{self._run.id}/reopen", {})

    def _has_best(self) -> bool:
        return len(self._study.directions) == 1 and any(trial.value is not None for trial in self._trials())

    def tried(self, objective: Callable[[optuna.Trial], Value], trial: optuna.Trial) -> Value:
        """One trial, as a run of its own; one that is pruned has ended well, only early."""
        with self._child(trial.number) as run:
            trial.set_user_attr(RUN, run.id)
            value = self._value(objective, trial, run)
        if value is None:
            raise _optuna().TrialPruned
        return value

    def _value(self, objective: Callable[[optuna.Trial], Value], trial: optuna.Trial, run: Recording) -> Value | None:
        try:
            value = objective(trial)
        except _optuna().TrialPruned:
            self._tell(run, trial, "pruned")
            return None
        self._tell(run, trial, "complete")
        run.log_metrics(_objectives(value if isinstance(value, Sequence) else [value]))
        return value

    def _begun(self, identity: str | None) -> Recording:
        directions = ", ".join(each.name.lower() for each in self._study.directions)
        about = {
            "direction": directions,
            "sampler": type(self._study.sampler).__name__,
            "pruner": type(self._study.pruner).__name__,
        }
        facts = {**self._facts, "params": {**about, **self._facts.get("params", {})}}
        try:
            run = recording.run(self._name, kind=KIND, identity=identity, **facts)
        except Conflict:
            if identity is None:
                raise
            run = self._resumed(identity)  # another process of the study was first
        self._study.set_user_attr(SWEEP, run.id)
        return run

    def _resumed(self, known: str) -> Recording:
        return recording.run(resume=known, **self._where())

    def _where(self) -> dict[str, Any]:
        return {name: self._facts[name] for name in ("session", "offline") if name in self._facts}

    def _child(self, number: int, identity: str | None = None) -> Recording:
        where = {name: value for name, value in self._facts.items() if name in ("session", "offline", "experiment")}
        for turn in range(TURNS):
            try:
                return recording.run(f"{self._name}-{number}", parent=self._run.id, identity=identity, **where)
            except Conflict:
                if turn == TURNS - 1:
                    raise
                self._open()
        raise AssertionError("the last turn has returned or raised")

    def _tell(self, run: Recording, trial: optuna.Trial, state: str) -> None:
        run.log_params(trial.params)
        run.set_tags({"trial": trial.number, "trial_state": state})
        for step, value in self._trials()[trial.number].intermediate_values.items():
            run.log_metric("intermediate", value, step)

    def _tell_best(self) -> None:
        best = self._study.best_trial
        self._run.log_metric("best_objective", float(best.value or 0.0), step=best.number)
        told = {"best_trial": best.number, "best_run": best.user_attrs.get(RUN) or _identity(self._study, best.number)}
        self._run.set_tags({**told, **{f"best/{name}": value for name, value in best.params.items()}})

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _objectives(values: Sequence[float]) -> dict[str, float]:
    keys = ["objective"] if len(values) == 1 else [f"objective_{n}" for n in range(len(values))]
    return dict(zip(keys, values, strict=True))


def _optuna() -> Any:
    try:
        import optuna  # only who sweeps needs it
    except ModuleNotFoundError as error:
        raise Unavailable("sweeps need optuna, not installed here; `pip install mainstay[optuna]` adds it.") from error
    return optuna
