# SPDX-License-Identifier: Apache-2.0
"""Sweeps: many trainings in search of good parameters, by Optuna, as one run with a run inside it for each trial.

In: a function that trains with what a trial suggests, and gives its value. Out: Optuna's study, and on record the trials
(their parameters, values and whatever they log) and the best of them. A study in a storage of Optuna's own goes on in
the same sweep, also from another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mainstay.client import recording
from mainstay.client.recording import Recording
from mainstay.domain.errors import Conflict, Unavailable

if TYPE_CHECKING:
    import optuna

KIND = "sweep"
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


class _Sweep:
    """The run around the trials."""

    def __init__(self, name: str, study: optuna.Study, facts: dict[str, Any]) -> None:
        self._name = name
        self._study = study
        self._facts = facts
        known = study.user_attrs.get(SWEEP)
        self._run = self._begun() if known is None else self._resumed(known)

    def __enter__(self) -> _Sweep:
        self._run.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if len(self._study.directions) == 1 and any(trial.value is not None for trial in self._trials()):
            self._tell_best()
        self._run.__exit__(kind, error, trace)

    def tried(self, objective: Callable[[optuna.Trial], Value], trial: optuna.Trial) -> Value:
        """One trial, as a run of its own; one that is pruned has ended well, only early."""
        with self._child(trial) as run:
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
        several = value if isinstance(value, Sequence) else [value]
        keys = ["objective"] if len(several) == 1 else [f"objective_{n}" for n in range(len(several))]
        run.log_metrics(dict(zip(keys, several, strict=True)))
        return value

    def _begun(self) -> Recording:
        directions = ", ".join(each.name.lower() for each in self._study.directions)
        about = {
            "direction": directions,
            "sampler": type(self._study.sampler).__name__,
            "pruner": type(self._study.pruner).__name__,
        }
        facts = {**self._facts, "params": {**about, **self._facts.get("params", {})}}
        run = recording.run(self._name, kind=KIND, **facts)
        self._study.set_user_attr(SWEEP, run.id)
        return run

    def _resumed(self, known: str) -> Recording:
        where = {name: self._facts[name] for name in ("session", "offline") if name in self._facts}
        return recording.run(resume=known, **where)

    def _child(self, trial: optuna.Trial) -> Recording:
        where = {name: value for name, value in self._facts.items() if name in ("session", "offline", "experiment")}
        try:
            run = recording.run(f"{self._name}-{trial.number}", parent=self._run.id, **where)
        except Conflict:
            # Another process, which had its part of the trials, has ended the sweep; it is not over.
            self._run = self._resumed(self._run.id)
            run = recording.run(f"{self._name}-{trial.number}", parent=self._run.id, **where)
        trial.set_user_attr(RUN, run.id)
        return run

    def _tell(self, run: Recording, trial: optuna.Trial, state: str) -> None:
        run.log_params(trial.params)
        run.set_tags({"trial": trial.number, "trial_state": state})
        for step, value in self._trials()[trial.number].intermediate_values.items():
            run.log_metric("intermediate", value, step)

    def _tell_best(self) -> None:
        best = self._study.best_trial
        self._run.log_metric("best_objective", float(best.value or 0.0), step=best.number)
        told = {"best_trial": best.number, "best_run": best.user_attrs.get(RUN, "unknown")}
        self._run.set_tags({**told, **{f"best/{name}": value for name, value in best.params.items()}})

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _optuna() -> Any:
    try:
        import optuna  # only who sweeps needs it
    except ModuleNotFoundError as error:
        raise Unavailable("sweeps need optuna, not installed here; `pip install mainstay[optuna]` adds it.") from error
    return optuna
