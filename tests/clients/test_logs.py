"""Reading logs."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def group(functions, invoke):
    name = functions.create()
    for index in range(3):
        invoke(name, {"print": f"line {index}"}, LogType="Tail")
    return f"/aws/lambda/{name}"


def test_groups_and_streams_are_listed(logs, group):
    groups = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [found["logGroupName"] for found in groups] == [group]
    assert groups[0]["storedBytes"] > 0 and groups[0]["arn"].endswith(f":log-group:{group}:*")
    found = logs.describe_log_groups(logGroupNamePattern=group[5:])["logGroups"]
    assert [group["logGroupName"] for group in found] == [group]
    streams = logs.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True
    )["logStreams"]
    assert len(streams) == 1 and "[$LATEST]" in streams[0]["logStreamName"]


def test_events_are_filtered(logs, group):
    def count(**parameters):
        return len(logs.filter_log_events(logGroupName=group, **parameters)["events"])

    assert count() == 12
    assert count(filterPattern="REPORT") == 3
    assert count(filterPattern='"line 1"') == 1
    event = logs.filter_log_events(logGroupName=group, filterPattern='"line 1"')["events"][0]
    assert count(startTime=event["timestamp"] + 60_000) == 0
    assert count(logStreamNames=[event["logStreamName"]]) == 12


def test_a_stream_is_read_both_ways(logs, group):
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]

    def read(**parameters):
        page = logs.get_log_events(
            logGroupName=group, logStreamName=stream, limit=5, **parameters
        )
        return [event["message"] for event in page["events"]], page

    everything, token = [], None
    while True:
        start = {"nextToken": token} if token else {"startFromHead": True}
        messages, page = read(**start)
        everything += messages
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert len(everything) == 12 and everything[0].startswith("START")

    newest, page = read()
    older, _ = read(nextToken=page["nextBackwardToken"])
    assert older + newest == everything[2:]


def test_what_is_not_there_is_not_found(logs, group):
    for parameters in [
        {"logGroupName": "/aws/lambda/nobody", "logStreamName": "x"},
        {"logGroupName": group, "logStreamName": "x"},
    ]:
        with pytest.raises(logs.exceptions.ResourceNotFoundException):
            logs.get_log_events(**parameters)
    with pytest.raises(ClientError, match="does not offer") as error:
        logs.create_log_group(logGroupName="g")
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"
    logs.delete_log_group(logGroupName=group)
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName=group)
