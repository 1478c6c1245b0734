"""Asynchronous invocations: retries and destinations."""

import json

import pytest
from botocore.exceptions import ClientError
from conftest import until


@pytest.fixture
def send(request, invoke):
    """Sends an event; returns its request id. Its retries are waited for, so they must be soon."""
    if request.config.getoption("--endpoint"):
        pytest.skip("the delays of retries at a given endpoint may be minutes")

    def run(name, event, **parameters):
        answer, response = invoke(name, event, InvocationType="Event", **parameters)
        assert (answer, response["StatusCode"]) == (None, 202)
        return response["ResponseMetadata"]["RequestId"]

    return run


@pytest.fixture
def told(client, functions, messages):
    """A destination: its ARN, and the records that it was told."""
    name = functions.create()
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]

    def records():
        lines = [line for line in messages(name) if line.startswith("told ")]
        return [json.loads(line.removeprefix("told ")) for line in lines]

    return arn, records


def test_an_event_is_accepted_and_run(functions, send, messages):
    name = functions.create()
    request = send(name, {"print": "later"})
    until("it ran", lambda: "later" in messages(name))
    assert any(line.startswith(f"START RequestId: {request}") for line in messages(name))


def test_failures_are_retried_and_told(client, functions, send, messages, told):
    arn, records = told
    name = functions.create(Publish=True)
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    request = send(name, {"fail": "always"})
    record = until("the destination is told", records)[0]
    assert len(messages(name, f'"REPORT RequestId: {request}"')) == 3
    assert record["version"] == "1.0" and record["timestamp"].endswith("Z")
    assert record["requestContext"] == {
        "requestId": request,
        "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"fail": "always"}
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "always"


def test_successes_are_told_by_qualifier(client, functions, send, told):
    arn, records = told
    name = functions.create(Publish=True)
    client.put_function_event_invoke_config(
        FunctionName=name,
        Qualifier="1",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnSuccess": {"Destination": arn}},
    )
    request = send(name, {}, Qualifier="1")
    record = until("the destination is told", records)[0]
    assert record["requestContext"]["requestId"] == request
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "1"}
    assert record["responsePayload"]["function"] == name


def test_a_stopped_function_fails_at_once(client, functions, send, told):
    arn, records = told
    name = functions.create()
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    send(name, {})
    record = until("the destination is told", records)[0]
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record


def test_throttled_events_wait(client, functions, invoke, send, messages):
    name = functions.create()
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    requests = [send(name, {"sleep_ms": 300}) for _ in range(3)]
    for request in requests:
        until("it ran", lambda: messages(name, f'"REPORT RequestId: {request}"'))


def test_configurations_are_kept_and_checked(client, functions, told):
    arn, _ = told
    name = functions.create()
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(FunctionName=name)
    put = client.put_function_event_invoke_config(
        FunctionName=name,
        MaximumRetryAttempts=1,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    assert put["FunctionArn"].endswith(f":{name}:$LATEST") and put["LastModified"].year > 2000
    updated = client.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert updated["MaximumRetryAttempts"] == 0 and updated["MaximumEventAgeInSeconds"] == 60
    assert updated["DestinationConfig"]["OnFailure"] == {"Destination": arn}
    listed = client.list_function_event_invoke_configs(FunctionName=name)
    assert len(listed["FunctionEventInvokeConfigs"]) == 1
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=2)
    assert "MaximumEventAgeInSeconds" not in put
    client.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_event_invoke_config(FunctionName=name)

    own = arn.rpartition(":")[0] + f":{name}"
    for settings, code in [
        ({"MaximumRetryAttempts": 3}, "ValidationException"),
        ({"MaximumEventAgeInSeconds": 21_601}, "ValidationException"),
        ({"DestinationConfig": {"OnFailure": {"Destination": own}}}, "InvalidParameterValueException"),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": f"{own}-nobody"}}},
            "InvalidParameterValueException",
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:0:q"}}},
            "InvalidParameterValueException",
        ),
    ]:
        with pytest.raises(ClientError) as error:
            client.put_function_event_invoke_config(FunctionName=name, **settings)
        assert error.value.response["Error"]["Code"] == code
