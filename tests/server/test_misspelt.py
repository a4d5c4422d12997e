"""A field that there is not is refused with the likeliest that there is; requests are described as they are read."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketTestSession

from mario_dagster.env.options import ResetRequest
from mario_dagster.env.requests import ActionRequest, BaselineRequest, GradeRequest, StepRequest

from .asking import refused, unharmed

MISSPELT = [
    ("/reset", {"taks": "temporal", "seed": 1}, "no keyword of reset 'taks'", "did you mean 'task'?"),
    ("/reset", {"task": "temporal", "split": "trian"}, "no split 'trian'", "did you mean 'train'?"),
    ("/step", {"action": {"action_id": 3, "target_colum": "a"}}, "field of an action", "did you mean 'target_column'?"),
    ("/step", {"action_id": 3, "newname": "a"}, "no field of an action 'newname'", "did you mean 'new_name'?"),
    ("/step", {"action": 10, "requestid": "a"}, "no argument 'requestid'", "did you mean 'request_id'?"),
    ("/grader", {"basline": "random"}, "no argument 'basline'", "did you mean 'baseline'?"),
]


@pytest.mark.parametrize(("path", "body", "says", "hint"), MISSPELT, ids=lambda part: str(part)[:30])
def test_a_field_that_there_is_not_is_refused_over_http_with_the_likeliest(
    client: TestClient, id: str, path: str, body: dict[str, Any], says: str, hint: str
) -> None:
    reply = client.post(path, json=body if path == "/reset" else {"episode_id": id, **body})
    assert reply.status_code == 422 and says in reply.json()["detail"] and reply.json()["detail"].endswith(hint)
    assert client.get("/state", params={"episode_id": id}).json()["step_count"] == 0


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ({"type": "reset", "data": {"taks": "temporal"}}, "did you mean 'task'?"),
        ({"type": "reset", "data": {"feedback": "thruth"}}, "did you mean 'truth'?"),
        ({"type": "step", "data": {"action_id": 3, "target_colum": "a"}}, "did you mean 'target_column'?"),
        ({"type": "step", "data": {"action_id": 3}, "requestid": "a"}, "did you mean 'request_id'?"),
        ({"type": "stpe", "data": {"action_id": 3}}, "did you mean 'step'?"),
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_field_that_there_is_not_is_refused_over_ws_and_the_session_goes_on(
    session: WebSocketTestSession, message: dict[str, Any], hint: str
) -> None:
    session.send_json(message)
    assert hint in refused(session)
    unharmed(session)


@pytest.mark.parametrize("path", ["/reset", "/step", "/grader", "/baseline"])
def test_what_is_described_of_a_request_is_what_is_read(client: TestClient, path: str) -> None:
    described = client.get("/openapi.json").json()
    schema = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = [form["$ref"].rpartition("/")[2] for form in schema.get("anyOf", [schema])]
    models = {"/reset": [ResetRequest], "/step": [StepRequest, ActionRequest], "/grader": [GradeRequest],
              "/baseline": [BaselineRequest]}[path]  # fmt: skip
    assert names == [model.__name__ for model in models]
    for model in models:
        body = described["components"]["schemas"][model.__name__]
        assert body["additionalProperties"] is False and body["properties"].keys() == model.model_fields.keys()
    seed = described["components"]["schemas"]["ResetRequest"]["properties"]["seed"]["anyOf"][0]
    assert seed == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
