# SPDX-License-Identifier: Apache-2.0
"""Traces and assessments through MLflow's unmodified clients, and as their requests look."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ..conftest import Served, talk

CLIENTS = ["mlflow", "mlflow-old"]

# Before anything else: where traces go, without asking for the experiment, and how to find them.
HEAD = """
import json, os, mlflow
from mlflow.entities import AssessmentSource, Feedback
from mlflow.entities.trace_location import MlflowExperimentLocation
mlflow.tracing.set_destination(MlflowExperimentLocation("0"))
client = mlflow.MlflowClient()

def find(text, **more):
    found = mlflow.search_traces(locations=["0"], filter_string=text, return_type="list", **more)
    return sorted(trace.info.trace_id for trace in found)

def wait():
    try:
        mlflow.flush_trace_async_logging()
    except Exception:
        pass  # the older client has no queue until it has traced something
"""

APPLICATION = """
@mlflow.trace(span_type="CHAIN", attributes={"k": "v"})
def outer(q):
    with mlflow.start_span("inner", span_type="LLM") as span:
        span.set_inputs({"q": q})
        span.set_outputs({"a": q * 2})
        span.add_event(mlflow.entities.SpanEvent("ev", attributes={"n": 1}))
    if q == "boom":
        raise RuntimeError("on purpose")
    mlflow.update_current_trace(tags={"q": q, "who": mark}, metadata={"mlflow.trace.session": mark})
    return q * 2

mark = os.urandom(4).hex()
ids = {}
for q in ("x", "y", "boom"):
    try:
        outer(q)
    except RuntimeError:
        pass
    ids[q] = mlflow.get_last_active_trace_id()
wait()
"""


@pytest.mark.parametrize("client", CLIENTS)
def test_spans_come_back_as_they_were_sent(served: Served, client: str) -> None:
    said = talk(
        served.url,
        HEAD
        + APPLICATION
        + """
trace = mlflow.get_trace(ids["x"])
root, child = sorted(trace.data.spans, key=lambda span: span.parent_id is not None)
failed = mlflow.get_trace(ids["boom"])
print(json.dumps({
    "names": [root.name, child.name], "parent": child.parent_id == root.span_id, "io": [root.inputs, root.outputs, child.outputs],
    "types": [root.span_type, child.span_type], "k": root.attributes["k"], "tag": trace.info.tags["q"],
    "events": [[event.name, event.attributes] for event in child.events], "took": trace.info.execution_duration is not None,
    "previews": [trace.info.request_preview, trace.info.response_preview], "state": failed.info.state.value,
    "exception": "exception" in [event.name for span in failed.data.spans for event in span.events],
}))""",
        client=client,
    )

    assert said == {
        "names": ["outer", "inner"],
        "parent": True,
        "io": [{"q": "x"}, "xx", {"a": "xx"}],
        "types": ["CHAIN", "LLM"],
        "k": "v",
        "tag": "x",
        "events": [["ev", {"n": 1}]],
        "took": True,
        "previews": ['{"q": "x"}', '"xx"'],
        "state": "ERROR",
        "exception": True,
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_a_search_by_the_client_finds_what_it_says(served: Served, client: str) -> None:
    said = talk(
        served.url,
        HEAD
        + APPLICATION
        + """
x, y, boom = ids["x"], ids["y"], ids["boom"]
mine = f"tag.who = '{mark}'"
wanted = {
    mine: [x, y], f"{mine} AND trace.status = 'OK'": [x, y], f"{mine} AND tags.q = 'y'": [y],
    f"metadata.`mlflow.trace.session` = '{mark}'": [x, y], f"{mine} AND trace.name LIKE 'out%'": [x, y],
    f"request_id = '{boom}' AND attributes.status = 'ERROR'": [boom], f"{mine} AND tags.q LIKE 'y%'": [y],
    f"{mine} AND span.name = 'inner' AND span.type = 'LLM'": [x, y], f"{mine} AND span.type = 'TOOL'": [],
    f"{mine} AND span.attributes.k LIKE '%v%'": [x, y], f"{mine} AND trace.text LIKE '%yy%'": [y],
    f"{mine} AND timestamp_ms > 0 AND execution_time_ms >= 0": [x, y], f"{mine} AND timestamp < 5": [],
}
wrong = {}
for text, expected in wanted.items():
    try:
        found = find(text)
    except mlflow.exceptions.MlflowException as error:
        found = str(error)
    if found != sorted(expected):
        wrong[text] = found
pages = []
token = None
while True:
    page = client.search_traces(locations=["0"], filter_string=mine, order_by=["timestamp ASC"], max_results=1, page_token=token)
    pages += [trace.info.trace_id for trace in page]
    token = page.token
    if not token:
        break
print(json.dumps({"wrong": wrong, "pages": pages == [x, y]}))""",
        client=client,
    )

    # The older client asks no server for what it does not know itself.
    unknown = {text: why for text, why in said["wrong"].items() if "Invalid" not in str(why)}
    assert unknown == {}
    assert client != "mlflow" or said["wrong"] == {}
    assert said["pages"]


@pytest.mark.parametrize("client", CLIENTS)
def test_tags_and_assessments_are_given_changed_and_taken_back(served: Served, client: str) -> None:
    said = talk(
        served.url,
        HEAD
        + APPLICATION
        + """
trace = ids["y"]
mlflow.set_trace_tag(trace, "late", "1")
person = AssessmentSource("HUMAN", "me")
good = mlflow.log_feedback(trace_id=trace, name="good", value=True, rationale="r", source=person, metadata={"m": "1"})
mlflow.log_expectation(trace_id=trace, name="want", value={"b": 1, "a": [2]})
mlflow.log_feedback(trace_id=trace, name="score", value=0.5)
mlflow.log_feedback(trace_id=trace, name="broken", error=ValueError("no model"))
info = mlflow.get_trace(trace).info
told = {each.name: each for each in info.assessments}
mlflow.update_assessment(trace, good.assessment_id, Feedback(name="good", value=False, rationale="r2"))
again = mlflow.get_assessment(trace, good.assessment_id)
over = mlflow.override_feedback(trace_id=trace, assessment_id=good.assessment_id, value="yes")
valid = [each.valid for each in mlflow.get_trace(trace).info.assessments if each.name == "good"]
found = find("feedback.good = 'yes'")
mlflow.delete_assessment(trace, over.assessment_id)
left = [[each.name, each.valid] for each in mlflow.get_trace(trace).info.assessments if each.feedback]
mlflow.delete_trace_tag(trace, "late")
print(json.dumps({
    "tag": info.tags["late"], "names": sorted(told), "want": list(told["want"].value.items()), "score": told["score"].value,
    "error": [told["broken"].value, told["broken"].error.error_message], "source": told["good"].source.source_id,
    "metadata": told["good"].metadata, "again": [again.value, again.rationale, again.metadata], "valid": valid,
    "found": found == [trace], "left": left, "tags": "late" in mlflow.get_trace(trace).info.tags,
    "deleted": client.delete_traces("0", trace_ids=[trace]), "gone": find(f"tag.who = '{mark}'") == [ids["x"]],
}))""",
        client=client,
    )

    assert said.pop("found") or client == "mlflow-old"
    assert said == {
        "tag": "1",
        "names": ["broken", "good", "score", "want"],
        "want": [["b", 1], ["a", [2]]],
        "score": 0.5,
        "error": [None, "no model"],
        "source": "me",
        "metadata": {"m": "1"},
        "again": [False, "r2", {"m": "1"}],
        "valid": [False, True],
        "left": [["good", True], ["score", True], ["broken", True]],
        "tags": False,
        "deleted": 1,
        "gone": True,
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_spans_of_many_threads_are_one_trace(served: Served, client: str) -> None:
    said = talk(
        served.url,
        HEAD
        + """
import asyncio

@mlflow.trace
async def leaf(n):
    await asyncio.sleep(0)
    return n

@mlflow.trace
async def fan():
    return sum(await asyncio.gather(*(leaf(n) for n in range(20))))

total = asyncio.run(fan())
trace = mlflow.get_last_active_trace_id()
wait()
spans = mlflow.get_trace(trace).data.spans
root = [span for span in spans if span.parent_id is None][0]
print(json.dumps({"total": total, "spans": len(spans), "of_root": sum(span.parent_id == root.span_id for span in spans)}))""",
        client=client,
    )

    assert said == {"total": 190, "spans": 21, "of_root": 20}


def test_a_trace_is_linked_to_a_run_and_to_prompts(served: Served) -> None:
    run = served.ask("POST", "/api/runs", json={"name": "evaluate"}).json()["id"]
    said = talk(
        served.url,
        HEAD
        + APPLICATION
        + f"""
store = mlflow.tracking._tracking_service.utils._get_store()
store.link_traces_to_run([ids["x"]], "{run}")
from mlflow.entities.model_registry import PromptVersion
store.link_prompts_to_trace(ids["y"], [PromptVersion(name="greeting", version=2, template="")])
print(json.dumps([find("attributes.run_id = '{run}'") == [ids["x"]], find("prompt = 'greeting/2'") == [ids["y"]]]))""",
    )

    assert said == [True, True]


# Requests


def ms(offset: int = 0) -> int:
    return int(time.time() * 1000) + offset


def info(identity: str, **facts: Any) -> dict[str, Any]:
    told = {
        "trace_id": identity,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": "2024-05-01T10:00:00.123Z",
        "execution_duration": "1.500s",
        "state": "OK",
        "trace_metadata": {"mlflow.trace.tokenUsage": '{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}'},
        "tags": {"mlflow.traceName": "told", "k": "v"},
    }
    return told | facts


def tell(served: Served, identity: str, **facts: Any) -> Any:
    return served.ask("POST", "/api/3.0/mlflow/traces", json={"trace": {"trace_info": info(identity, **facts)}})


@pytest.mark.parametrize("prefix", ["/api/3.0/mlflow", "/ajax-api/3.0/mlflow"])
def test_a_told_trace_is_answered_with_all_that_was_told(served: Served, prefix: str) -> None:
    identity = f"tr-told{len(prefix)}"
    feedback = {"assessment_name": "good", "source": {"source_type": "CODE"}, "feedback": {"value": 1}}
    given = {**feedback, "create_time": "2024-05-01T10:00:01Z"}

    first = served.ask("POST", f"{prefix}/traces", json={"trace": {"trace_info": info(identity, assessments=[given])}})
    again = served.ask("POST", f"{prefix}/traces", json={"trace": {"trace_info": info(identity, assessments=[given])}})
    found = served.ask("GET", f"{prefix}/traces/{identity}").json()["trace"]["trace_info"]

    assert (first.status_code, again.json()) == (200, first.json())
    assert found["request_time"] == "2024-05-01T10:00:00.123000Z"
    assert (found["execution_duration"], found["state"]) == ("1.500s", "OK")
    assert found["trace_metadata"] == info(identity)["trace_metadata"]
    assert found["tags"] == {
        "k": "v",
        "mlflow.traceName": "told",
        "mlflow.artifactLocation": f"mlflow-artifacts:/0/traces/{identity}/artifacts",
    }
    assert [(each["assessment_name"], each["feedback"], each["valid"]) for each in found["assessments"]] == [
        ("good", {"value": 1}, True)
    ]


@pytest.mark.parametrize(
    ("facts", "status", "code"),
    [
        ({"trace_id": ""}, 400, "INVALID_PARAMETER_VALUE"),
        ({"trace_id": "../x"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"state": "MAYBE"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"request_time": "noon"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"execution_duration": "long"}, 400, "INVALID_PARAMETER_VALUE"),
        ({"trace_location": {}}, 400, "INVALID_PARAMETER_VALUE"),
        ({"trace_location": {"mlflow_experiment": {"experiment_id": "77777"}}}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ({"tags": {"": "v"}}, 400, "INVALID_PARAMETER_VALUE"),
        ({"tags": {"k": 1}}, 400, "INVALID_PARAMETER_VALUE"),
        ({"trace_metadata": {"k": "v" * 9_000}}, 400, "INVALID_PARAMETER_VALUE"),
        ({"assessments": [{"assessment_name": "x"}]}, 400, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_a_trace_that_cannot_be_kept_is_refused_whole(served: Served, facts: Any, status: int, code: str) -> None:
    reply = tell(served, "tr-wrong", **facts)

    assert (reply.status_code, reply.json()["error_code"]) == (status, code)
    assert served.ask("GET", "/api/3.0/mlflow/traces/tr-wrong").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "3.0/mlflow/traces/search", {}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "max_results": 501}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "filter": "colour = 'red'"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "filter": "metrics.a > 1"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "filter": "span.size > 1"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "order_by": ["colour"]}, "INVALID_PARAMETER_VALUE"),
        (
            "POST",
            "3.0/mlflow/traces/search",
            {"locations": [], "order_by": ["name", "name"]},
            "INVALID_PARAMETER_VALUE",
        ),
        ("POST", "3.0/mlflow/traces/search", {"locations": [], "page_token": "x"}, "INVALID_PARAMETER_VALUE"),
        ("GET", "3.0/mlflow/traces/tr-none", None, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "2.0/mlflow/traces/tr-none/info", None, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "3.0/mlflow/traces/get?trace_id=tr-none", None, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "3.0/mlflow/traces/get", None, "INVALID_PARAMETER_VALUE"),
        ("GET", "3.0/mlflow/traces/batchGet", None, "INVALID_PARAMETER_VALUE"),
        ("GET", "2.0/mlflow/get-trace-artifact", None, "INVALID_PARAMETER_VALUE"),
        ("GET", "3.0/mlflow/get-trace-artifact?request_id=tr-none", None, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "3.0/mlflow/get-trace-artifact?request_id=tr-none&path=../x", None, "INVALID_PARAMETER_VALUE"),
        ("PATCH", "2.0/mlflow/traces/tr-none", {"timestamp_ms": 1, "status": "OK"}, "RESOURCE_DOES_NOT_EXIST"),
        ("PATCH", "2.0/mlflow/traces/tr-none/tags", {"key": "k", "value": "v"}, "RESOURCE_DOES_NOT_EXIST"),
        ("PATCH", "2.0/mlflow/traces/tr-none/tags", {"key": "mlflow.trace.spansLocation"}, "INVALID_PARAMETER_VALUE"),
        ("DELETE", "2.0/mlflow/traces/tr-none/tags", {"key": "k"}, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "2.0/mlflow/traces/delete-traces", {"experiment_id": "0"}, "INVALID_PARAMETER_VALUE"),
        (
            "POST",
            "2.0/mlflow/traces/delete-traces",
            {"experiment_id": "0", "max_timestamp_millis": 1, "request_ids": ["x"]},
            "INVALID_PARAMETER_VALUE",
        ),
        (
            "POST",
            "2.0/mlflow/traces/delete-traces",
            {"experiment_id": "0", "max_timestamp_millis": 1, "max_traces": 0},
            "INVALID_PARAMETER_VALUE",
        ),
        ("POST", "2.0/mlflow/traces/link-to-run", {"trace_ids": ["x"], "run_id": "0" * 32}, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "2.0/mlflow/traces/link-to-run", {"trace_ids": ["x"] * 101, "run_id": "0"}, "INVALID_PARAMETER_VALUE"),
        ("POST", "3.0/mlflow/traces/tr-none/assessments", {}, "INVALID_PARAMETER_VALUE"),
        ("GET", "3.0/mlflow/traces/tr-none/assessments/a-1", None, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", "3.0/mlflow/traces/tr-none/assessments/a-1", None, "RESOURCE_DOES_NOT_EXIST"),
    ],
)
def test_a_mistake_is_told_with_mlflows_code(served: Served, method: str, path: str, body: Any, code: str) -> None:
    reply = served.ask(method, f"/api/{path}", **({} if body is None else {"json": body}))

    assert reply.json()["error_code"] == code
    assert reply.status_code == (404 if code == "RESOURCE_DOES_NOT_EXIST" else 400)


def test_version_2_begins_ends_finds_and_shows_traces(served: Served) -> None:
    began = ms()
    mark = f"v2-{began}"
    begun = served.ask(
        "POST",
        "/api/2.0/mlflow/traces",
        json={
            "experiment_id": "0",
            "timestamp_ms": str(began),
            "request_metadata": [{"key": "m", "value": "1"}],
            "tags": [{"key": "mlflow.traceName", "value": mark}],
        },
    ).json()["trace_info"]
    identity = begun["request_id"]
    ended = served.ask(
        "PATCH",
        f"/api/2.0/mlflow/traces/{identity}",
        json={"timestamp_ms": began + 250, "status": "ERROR", "tags": [{"key": "t", "value": "2"}]},
    ).json()["trace_info"]

    endless = {"timestamp_ms": "99999999999999999999", "status": "OK"}
    assert served.ask("PATCH", f"/api/2.0/mlflow/traces/{identity}", json=endless).status_code == 400
    assert (begun["status"], begun["timestamp_ms"], "execution_time_ms" in begun) == ("IN_PROGRESS", began, False)
    assert (ended["status"], ended["execution_time_ms"]) == ("ERROR", 250)
    assert {"key": "m", "value": "1"} in ended["request_metadata"]
    assert {"key": "mlflow.traceName", "value": mark} in ended["tags"]
    assert {"key": "t", "value": "2"} in ended["tags"]
    assert served.ask("GET", f"/api/2.0/mlflow/traces/{identity}/info").json()["trace_info"] == ended
    query = {"experiment_ids": ["0", "1"], "filter": f"name = '{mark}'", "max_results": "5"}
    assert served.ask("GET", "/api/2.0/mlflow/traces", params=query).json() == {"traces": [ended]}
    until = {"experiment_id": "0", "max_timestamp_millis": began, "max_traces": 500}
    served.ask("POST", "/api/3.0/mlflow/traces/delete-traces", json=until)
    assert served.ask("GET", f"/api/2.0/mlflow/traces/{identity}/info").status_code == 404


def test_a_trace_whose_spans_did_not_all_come_is_told_apart(served: Served) -> None:
    sizes = {"mlflow.trace.sizeStats": '{"num_spans": 2}'}
    tell(served, "tr-" + "ab" * 16, trace_metadata=sizes)
    whole = "/api/3.0/mlflow/traces/get?trace_id=tr-" + "ab" * 16

    assert served.ask("GET", whole).status_code == 404
    partial = served.ask("GET", whole + "&allow_partial=true").json()["trace"]
    assert (partial["trace_info"]["state"], partial["spans"]) == ("OK", [])
    many = served.ask("GET", "/api/3.0/mlflow/traces/batchGet?trace_ids=tr-" + "ab" * 16).json()
    assert many == {"traces": []}
    infos = served.ask("POST", "/api/3.0/mlflow/traces/batchGetInfos", json={"trace_ids": ["tr-" + "ab" * 16, "x"]})
    assert len(infos.json()["trace_infos"]) == 1


def test_a_trace_of_another_library_is_shown_in_mlflows_words(served: Served) -> None:
    span = {
        "traceId": "cd" * 16,
        "spanId": "ef" * 8,
        "name": "chat",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": [
            {"key": "openinference.span.kind", "value": {"stringValue": "llm"}},
            {"key": "input.value", "value": {"stringValue": "hello"}},
            {"key": "llm.token_count.prompt", "value": {"intValue": 5}},
        ],
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert served.ask("POST", "/v1/traces", json=body, headers={"x-mlflow-experiment-id": "0"}).status_code == 200

    said = talk(
        served.url,
        HEAD
        + """
trace = mlflow.get_trace("tr-" + "cd" * 16)
span = trace.data.spans[0]
usage = trace.info.token_usage
print(json.dumps([span.span_type, span.inputs, span.attributes["input.value"], usage, trace.info.request_preview]))""",
    )

    assert said == ["LLM", "hello", "hello", {"input_tokens": 5, "total_tokens": 5}, "hello"]
    file = served.ask("GET", "/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-" + "cd" * 16)
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.json()["spans"][0]["attributes"]["input.value"] == '"hello"'


def test_filters_that_hold_for_the_same_traces_correlate(served: Served) -> None:
    mark = f"c{ms()}"
    for n in range(4):
        tell(served, f"tr-{mark}-{n}", tags={"mark": mark, "a": str(n < 2), "b": str(n < 2), "c": str(n % 2)})

    def correlate(one: str, other: str) -> Any:
        body = {
            "experiment_ids": ["0"],
            "filter_string1": one,
            "filter_string2": other,
            "base_filter": f"tag.mark = '{mark}'",
        }
        return served.ask("POST", "/api/3.0/mlflow/traces/calculate-filter-correlation", json=body).json()

    same, none, without = (
        correlate("tag.a = 'True'", other) for other in ("tag.b = 'True'", "tag.a = 'False'", "tag.a = 'x'")
    )
    assert (same["npmi"], same["joint_count"], same["total_count"]) == (1.0, 2, 4)
    assert 0 < same["npmi_smoothed"] < 1
    assert correlate("tag.a = 'True'", "tag.c = '1'")["npmi"] == 0
    assert none["npmi"] == -1
    assert without["npmi"] == "NaN"


FILES = "/api/2.0/mlflow-artifacts/artifacts"
OLD_SPAN = {
    "name": "asked",
    "context": {"trace_id": "0x" + "12" * 16, "span_id": "0x" + "ab" * 8},
    "parent_id": None,
    "start_time": 1_700_000_000_000_000_000,
    "end_time": 1_700_000_000_500_000_000,
    "status_code": "ERROR",
    "status_message": "no",
    "attributes": {"mlflow.spanInputs": '{"q": 1}', "mlflow.spanType": '"LLM"', "mlflow.traceRequestId": '"x"'},
    "events": [{"name": "e", "timestamp": 5, "attributes": {"n": 1}}],
}
SPAN = {
    "name": "asked",
    "trace_id": "EhISEhISEhISEhISEhISEg==",
    "span_id": "q6urq6urq6s=",
    "parent_span_id": "",
    "start_time_unix_nano": 1_700_000_000_000_000_000,
    "end_time_unix_nano": 1_700_000_000_500_000_000,
    "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
    "attributes": {"mlflow.spanInputs": '{"q": 1}', "mlflow.spanType": '"LLM"', "mlflow.traceRequestId": '"x"'},
    "events": [{"name": "e", "time_unix_nano": 5, "attributes": {"n": 1}}],
}


@pytest.mark.parametrize("span", [OLD_SPAN, SPAN], ids=["version 2", "version 3"])
def test_spans_that_a_client_writes_into_a_file_are_spans_here(served: Served, span: dict[str, Any]) -> None:
    identity = "tr-file" + str(len(span))
    tell(served, identity)
    place = f"{FILES}/0/traces/{identity}/artifacts/traces.json"
    written = json.dumps({"spans": [span]}).encode()

    assert served.ask("PUT", place, content=written).status_code == 200
    assert served.ask("GET", place).content == written
    [shown] = served.ask("GET", f"/api/traces/{identity}").json()["spans"]
    assert (shown["id"], shown["kind"], shown["state"], shown["message"]) == ("ab" * 8, "LLM", "error", "no")
    assert (shown["inputs"], shown["duration_ms"], shown["events"][0]["attributes"]) == ({"q": 1}, 500, {"n": 1})
    assert len(served.ask("GET", f"/api/3.0/mlflow/traces/get?trace_id={identity}").json()["trace"]["spans"]) == 1


def test_a_file_of_spans_that_cannot_be_read_stays_a_file(served: Served) -> None:
    tell(served, "tr-odd")
    place = f"{FILES}/0/traces/tr-odd/artifacts/traces.json"

    for odd in (b"{", b"[]", b'{"spans": 5}', b'{"spans": [{}]}', b'{"spans": [{"context": {"span_id": "x"}}]}'):
        assert served.ask("PUT", place, content=odd).status_code == 200
        assert served.ask("GET", place).content == odd
    assert served.ask("GET", "/api/traces/tr-odd").json()["spans"] == []


def test_what_is_attached_to_a_trace_is_kept_listed_and_goes_with_it(served: Served) -> None:
    tell(served, "tr-image")
    folder = f"{FILES}/0/traces/tr-image/artifacts/attachments"
    attached = "/ajax-api/3.0/mlflow/get-trace-artifact?request_id=tr-image&path="

    assert served.ask("PUT", f"{folder}/one.png", content=b"image").status_code == 200
    assert served.ask("GET", attached + "one.png").content == b"image"
    assert served.ask("GET", attached + "two.png").status_code == 404
    assert served.ask("GET", attached + "../../x").status_code == 400
    listed = served.ask("GET", f"{FILES}?path=0/traces/tr-image/artifacts/attachments").json()
    assert listed == {"files": [{"path": "one.png", "is_dir": False, "file_size": 5}]}
    assert served.ask("PUT", f"{FILES}/1/traces/tr-image/artifacts/x", content=b"").status_code == 404
    assert served.ask("PUT", f"{FILES}/0/traces/tr-none/artifacts/x", content=b"").status_code == 404
    assert served.ask("DELETE", folder).status_code == 200
    assert served.ask("GET", attached + "one.png").status_code == 404
