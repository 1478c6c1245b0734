"""Invocations that somebody waits for."""

import base64

import pytest


def test_an_answer_comes_with_its_log(functions, invoke):
    name = functions.create()
    answer, response = invoke(name, {"print": "hello"}, LogType="Tail")
    assert (response["StatusCode"], response["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in response
    lines = base64.b64decode(response["LogResult"]).decode().splitlines()
    request = response["ResponseMetadata"]["RequestId"]
    assert answer["request_id"] == request
    assert lines[0] == f"START RequestId: {request} Version: $LATEST"
    assert "hello" in lines and lines[-1].startswith(f"REPORT RequestId: {request}\tDuration: ")


def test_functions_fail_as_on_lambda(functions, invoke):
    name = functions.create(Timeout=1)
    for event, kind, text in [
        ({"fail": "no luck"}, None, "no luck"),
        ({"exit": 3}, "Runtime.ExitError", "exit status 3"),
        ({"sleep_ms": 30_000}, "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ]:
        answer, response = invoke(name, event)
        assert (response["StatusCode"], response["FunctionError"]) == (200, "Unhandled")
        assert text in answer["errorMessage"]
        assert kind is None or answer["errorType"] == kind


def test_a_dry_run_runs_nothing(functions, invoke, messages):
    name = functions.create()
    answer, response = invoke(name, InvocationType="DryRun")
    assert (answer, response["StatusCode"]) == (None, 204)
    assert messages(name) == []


def test_requests_are_checked(client, functions, invoke):
    name = functions.create()
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName=name, Payload=b"no json")
    answer, _ = invoke(name, {"print": "x" * (6 * 1024 * 1024 - 100)})
    assert answer["function"] == name
    for kind, limit in [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)]:
        with pytest.raises(client.exceptions.RequestTooLargeException, match=str(limit)):
            invoke(name, {"print": "x" * limit}, InvocationType=kind)


def test_a_function_calls_another(functions, invoke):
    caller, callee = functions.create(), functions.create()
    answer, _ = invoke(caller, {"calls": [{"function": callee, "payload": {}}]})
    assert answer["calls"][0]["payload"]["function"] == callee
