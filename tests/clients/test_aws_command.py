"""The `aws` command, of every version that is installed."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import CREDENTIALS, ROLE

# The one in the path, and Debian's.
COMMANDS = sorted({path for path in [shutil.which("aws"), "/usr/bin/aws"] if path and os.path.exists(path)})


def version(command):
    return subprocess.run([command, "--version"], capture_output=True, text=True).stdout


@pytest.fixture(params=COMMANDS or [None])
def aws(request, endpoint, tmp_path):
    """Runs the command in a folder of its own; returns its output, or fails with its error."""
    if request.param is None:
        pytest.skip("there is no aws command")
    environment = os.environ | CREDENTIALS | {"AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}

    def run(*arguments, check=True):
        process = subprocess.run(
            [request.param, "--endpoint-url", endpoint, "--output", "json", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        if not check:
            return process
        assert process.returncode == 0, process.stderr
        try:
            return json.loads(process.stdout or "null")
        except json.JSONDecodeError:
            return process.stdout

    run.folder = tmp_path
    run.payload = ["--cli-binary-format", "raw-in-base64-out"] * version(request.param).startswith(
        "aws-cli/2"
    )
    run.is_second = bool(run.payload)
    return run


def test_a_function_lives_its_life(aws, functions, probe):
    name = functions.name()
    (aws.folder / "probe.zip").write_bytes(probe)
    created = aws(
        *["lambda", "create-function", "--function-name", name, "--runtime", "provided.al2023"],
        *["--handler", "bootstrap", "--role", ROLE, "--zip-file", "fileb://probe.zip"],
        *["--memory-size", "512", "--timeout", "30", "--publish", "--tags", "team=x"],
    )
    assert (created["FunctionName"], created["Version"]) == (name, "1")
    aws("lambda", "wait", "function-active-v2", "--function-name", name)
    aws(
        *["lambda", "update-function-configuration", "--function-name", name],
        *["--environment", "Variables={LABEL=two}"],
    )
    aws("lambda", "wait", "function-updated-v2", "--function-name", name)
    assert aws("lambda", "publish-version", "--function-name", name)["Version"] == "2"
    aws(
        *["lambda", "create-alias", "--function-name", name, "--name", "live"],
        *["--function-version", "1", "--routing-config", "AdditionalVersionWeights={2=1.0}"],
    )
    invoked = aws(
        *["lambda", "invoke", "--function-name", name, "--qualifier", "live", "--log-type", "Tail"],
        *[*aws.payload, "--payload", '{"print": "hello", "environment": ["LABEL"]}', "answer.json"],
    )
    assert (invoked["StatusCode"], invoked["ExecutedVersion"]) == (200, "2")
    assert "LogResult" in invoked
    answer = json.loads((aws.folder / "answer.json").read_text())
    assert answer["environment"] == ["two"]

    names = aws("lambda", "list-functions", "--query", "Functions[].FunctionName", "--page-size", "1")
    assert name in names
    found = aws("lambda", "get-function", "--function-name", f"{name}:live")
    assert (found["Configuration"]["Version"], found["Tags"]) == ("1", {"team": "x"})
    aws(
        *["lambda", "put-function-concurrency", "--function-name", name],
        *["--reserved-concurrent-executions", "0"],
    )
    throttled = aws("lambda", "invoke", "--function-name", name, "answer.json", check=False)
    assert "(TooManyRequestsException)" in throttled.stderr
    aws("lambda", "get-account-settings")
    aws("lambda", "delete-function", "--function-name", name)
    gone = aws("lambda", "get-function", "--function-name", name, check=False)
    assert gone.returncode in (254, 255) and "(ResourceNotFoundException)" in gone.stderr


def test_logs_are_read(aws, functions, invoke):
    name = functions.create()
    invoke(name, {"print": "hello"}, LogType="Tail")
    group = f"/aws/lambda/{name}"
    groups = aws("logs", "describe-log-groups", "--log-group-name-prefix", group)["logGroups"]
    assert groups[0]["logGroupName"] == group
    streams = aws("logs", "describe-log-streams", "--log-group-name", group)["logStreams"]
    stream = streams[0]["logStreamName"]
    events = aws("logs", "filter-log-events", "--log-group-name", group)["events"]
    assert [event["message"] for event in events][1] == "hello\n"
    events = aws(
        *["logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream]
    )["events"]
    assert [event["message"] for event in events][1] == "hello\n"
    if aws.is_second:
        assert "hello" in aws("logs", "tail", group, "--format", "short")


def test_what_is_not_offered_is_said(aws):
    refused = aws("lambda", "list-event-source-mappings", check=False)
    assert "(UnknownOperationException)" in refused.stderr
    assert "does not offer GET /2015-03-31/event-source-mappings" in refused.stderr
