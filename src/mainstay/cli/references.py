# SPDX-License-Identifier: Apache-2.0
"""What somebody means by a word on the command line: ``flights``, ``flights#7``, ``flights-late@candidate``, an id.

In: text and a session. Out: the very thing, as the API gives it, or a sentence that says what could have been meant.
Nobody should have to copy a number by hand where a name is enough.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mainstay.domain.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from mainstay.client.session import Session

Found = dict[str, Any]

MOST = 1000
_NUMBERED = re.compile(r"(?P<name>.+)[#@/](?P<number>[1-9][0-9]{0,17})")
_ID = re.compile(r"[0-9a-f]{32}")
_MARKED = ((re.compile(r".+#[0-9]+"), "release"), (re.compile(r".+/[0-9]+"), "version"))


def path(*parts: object) -> str:
    """A path of the API; whatever a part holds, it stays one part."""
    return "".join(f"/{quote(str(part), safe='@:')}" for part in parts)


def is_id(text: str) -> bool:
    """Whether ``text`` is a whole id, and not a name."""
    return bool(_ID.fullmatch(text))


def numbered(text: str) -> tuple[str, int] | None:
    """``flights#7``, ``flights@7`` or ``flights/7`` as (name, 7); None if there is no number."""
    found = _NUMBERED.fullmatch(text)
    return (found["name"], int(found["number"])) if found else None


def version(session: Session, text: str) -> tuple[str, int]:
    """The version meant by ``MODEL@3``, ``MODEL/3``, ``MODEL@champion``, ``MODEL@candidate`` or ``MODEL@latest``.

    Raises:
        Invalid: no version is named. NotFound: there is no such model, alias or candidate.
    """
    if known := numbered(text):
        return known
    model, mark, word = text.rpartition("@")
    if not (model and mark and word):
        raise Invalid(f"{text!r} does not say which version; write MODEL@3, MODEL@champion or MODEL@candidate.")
    found = session.get(path("models", model))
    if word == "candidate" and word not in found["aliases"]:
        return model, _candidate(found)
    if word == "latest" and found["versions"]:
        return model, int(found["versions"][0]["number"])
    if word not in found["aliases"]:
        there = ", ".join([*found["aliases"], "candidate", "latest"])
        raise NotFound(f"model {model!r} has no alias {word!r}; its versions go by number, or by one of {there}.")
    return model, int(found["aliases"][word])


def _candidate(model: Found) -> int:
    """The newest version that was not released yet and could be."""
    for found in model["versions"]:
        if found["state"] == "candidate" and not found["is_reference"]:
            return int(found["number"])
    raise NotFound(
        f"model {model['name']!r} has no candidate: each of its {len(model['versions'])} versions was released or "
        "retired. `mainstay run` makes a new one."
    )


def release(session: Session, text: str) -> Found:
    """``flights#7``, or the newest release of deployment ``flights``.

    Raises:
        NotFound: there is none.
    """
    deployment, number = numbered(text) or (text, None)
    if number is None:
        number = _newest_release(session, deployment)["number"]
    found: Found = session.get(path("releases", deployment, number))
    return found


def waiting_release(session: Session, text: str) -> Found:
    """``flights#7``, or the release of deployment ``flights`` that waits for somebody's yes or no.

    Raises:
        Conflict: none waits.
    """
    if numbered(text):
        return release(session, text)
    there = session.get("/releases", deployment=text, limit=MOST)["items"]
    waiting = next((each for each in there if each["state"] == "waiting"), None)
    if waiting is None:
        newest = _newest_release(session, text)
        raise Conflict(f"no release of {text!r} waits for approval; the newest, {newest['id']}, is {newest['state']}.")
    return release(session, waiting["id"])


def _newest_release(session: Session, deployment: str) -> Found:
    there = session.get("/releases", deployment=deployment, limit=1)["items"]
    if not there:
        session.get(path("deployments", deployment))  # says so if there is no such deployment
        raise NotFound(
            f"deployment {deployment!r} has no release yet; "
            f"`mainstay release MODEL@candidate --to {deployment}` asks for one."
        )
    newest: Found = there[0]
    return newest


def rollout(session: Session, text: str) -> Found:
    """A rollout by its id, that of release ``flights#7``, or deployment ``flights``'s: under way, else the last.

    Raises:
        NotFound: there is none.
    """
    if is_id(text):
        found: Found = session.get(path("rollouts", text))
        return found
    if not numbered(text):
        deployment = session.get(path("deployments", text))
        if deployment["rollout_now"]:
            return dict(deployment["rollout_now"])
        ended = (release(session, each["id"])["rollout"] for each in deployment["releases"])
        last = max((each for each in ended if each), key=lambda each: str(each["started_at"]), default=None)
        if last is None:
            raise NotFound(f"deployment {text!r} has had no rollout yet; an approved release starts one.")
        return dict(last)
    asked = release(session, text)
    if not asked["rollout"]:
        raise NotFound(f"release {asked['id']} is {asked['state']} and has no rollout; an approved release starts one.")
    return dict(asked["rollout"])


def alert(session: Session, text: str) -> str:
    """The id of an alert: an id, ``MONITOR:KEY`` of one that is not resolved, or MONITOR if it has only one of these.

    Raises:
        NotFound: there is none. Conflict: there are several.
    """
    if is_id(text):
        return text
    monitor, _, key = text.partition(":")
    there = session.get("/alerts", state="unresolved", monitor=monitor, limit=MOST)["items"]
    fitting = [each for each in there if not key or each["key"] == key]
    if len(fitting) == 1:
        return str(fitting[0]["id"])
    if fitting:
        names = ", ".join(f"{each['monitor']}:{each['key']}" for each in fitting)
        raise Conflict(f"monitor {monitor!r} has {len(fitting)} alerts that are not resolved; name one of {names}.")
    session.get(path("monitors", monitor))  # says so if there is no such monitor
    raise NotFound(f"{text!r} has no alert that is not resolved; `mainstay alerts list` shows those that were.")


def decision(session: Session, text: str) -> str:
    """The id of a decision: an id, or the newest decision of trigger ``text``.

    Raises:
        NotFound: there is none.
    """
    return text if is_id(text) else _decision_of(session, text, "asked")


def suggestion(session: Session, text: str) -> str:
    """The id of a decision that waits for a yes or no: an id, or the newest such of trigger ``text``.

    Raises:
        NotFound: there is none.
    """
    return text if is_id(text) else _decision_of(session, text, "waiting")


def _decision_of(session: Session, trigger: str, which: str) -> str:
    session.get(path("triggers", trigger))  # says so if there is no such trigger
    there = session.get("/decisions", trigger=trigger, limit=MOST)["items"]
    fitting = [each for each in there if _waits(each)] if which == "waiting" else there
    if not fitting:
        lack = "no suggestion that waits for an answer" if which == "waiting" else "no decision yet"
        raise NotFound(f"trigger {trigger!r} has {lack}; `mainstay triggers ask {trigger}` asks it now.")
    return str(fitting[0]["id"])


def _waits(decision: Found) -> bool:
    return decision["outcome"] == "suggest" and not decision["job"] and decision["result"] == "pending"


def run(session: Session, text: str) -> str:
    """The id of a run: an id, or the newest run called ``text``.

    Raises:
        NotFound: there is none.
    """
    if is_id(text):
        return text
    if "'" in text:
        raise NotFound(f"no run is called {text!r}; `mainstay runs list` shows those there are.")
    there = session.get("/runs", filter=f"name = '{text}'", limit=1)["items"]
    if not there:
        raise NotFound(f"no run is called {text!r}; `mainstay runs list` shows those there are.")
    return str(there[0]["id"])


def run_or_version(session: Session, text: str) -> str:
    """``run:ID`` of a run by id or name, or ``version:MODEL/3`` of a version however it is named.

    Raises:
        NotFound: there is none.
    """
    if not is_id(text) and ("@" in text or numbered(text)):
        model, number = version(session, text.removeprefix("version:"))
        return f"version:{model}/{number}"
    return f"run:{run(session, text.removeprefix('run:'))}"


def subject(session: Session, text: str) -> str:
    """``kind:name`` of what is asked about; a bare id may be a prediction's, a run's, an alert's or a decision's."""
    if ":" in text:
        return text
    if is_id(text):
        there = [each["subject"] for each in session.get("/search", q=text)["items"]]
        return next((each for each in there if each.partition(":")[2] == text), f"prediction:{text}")
    for pattern, kind in _MARKED:
        if pattern.fullmatch(text):
            return f"{kind}:{text}"
    if "@" in text:
        return _snapshot_or_version(session, text)
    session.get(path("deployments", text))  # says so if there is no such deployment
    return f"deployment:{text}"


def _snapshot_or_version(session: Session, text: str) -> str:
    """``flights@3`` names a snapshot, and ``flights-late@3`` a version: a dataset or a model is called so."""
    try:
        return f"snapshot:{session.get(path('snapshots', text))['id']}"
    except NotFound as refusal:
        try:
            model, number = version(session, text)
            session.get(path("models", model))
        except NotFound:
            raise refusal from None
        return f"version:{model}/{number}"
