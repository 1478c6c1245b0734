"""A server under test, clients for it, and the probe function."""

import io
import itertools
import json
import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::000000000000:role/test"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def pytest_addoption(parser):
    # Cargo names the folder after the machine; see .cargo/config.toml.
    programs = next(REPOSITORY.glob("target/*/release"), REPOSITORY / "target/release")
    parser.addoption("--endpoint", help="server to test [default: one is started]")
    parser.addoption("--fuseline", default=programs / "fuseline", type=Path, help="program that is started")
    parser.addoption("--probe", default=programs / "probe", type=Path, help="program that is deployed")
    parser.addoption("--javascript", default=Path(__file__).parent, help="folder of lambda.mjs and its node_modules")
    parser.addoption("--state", help="state directory of the server [default: a temporary one]")
    parser.addoption("--sandbox", default="auto", help="sandbox of the server that is started")


def built(program):
    if not program.is_file():
        pytest.exit(f"{program} is not there; run `cargo build --release --workspace --bins`", 2)
    return program


@pytest.fixture(scope="session")
def endpoint(request, tmp_path_factory):
    given = request.config.getoption("--endpoint")
    if given:
        yield given
        return
    state = request.config.getoption("--state") or tmp_path_factory.mktemp("state")
    command = [
        built(request.config.getoption("--fuseline")),
        *["local", "--port", "0", "--format", "json", "--invoke-overhead", "none"],
        *["--async-retry-delays", "200ms,400ms", "--state", state],
        *["--sandbox", request.config.getoption("--sandbox")],
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        said = ""
        while line := server.stdout.readline():
            said += line
            if line.startswith("}"):
                break
        try:
            yield json.loads(said)["endpoint"]
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0, "the server did not end well"


def client_for(service, endpoint):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        # What the server says first is what is tested.
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def client(endpoint):
    return client_for("lambda", endpoint)


@pytest.fixture(scope="session")
def logs(endpoint):
    return client_for("logs", endpoint)


@pytest.fixture(scope="session")
def probe(request):
    """The probe as a zip."""
    program = built(request.config.getoption("--probe"))
    return zip_of({"bootstrap": program.read_bytes()})


def zip_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


class Functions:
    """Deploys functions under names of their own and removes them."""

    numbers = itertools.count()

    def __init__(self, client, probe):
        self.client = client
        self.probe = probe
        self.names = []

    def name(self):
        name = f"client-test-{os.getpid()}-{next(self.numbers)}"
        self.names.append(name)
        return name

    def create(self, **settings):
        """Creates the probe and waits until it is active; returns its name."""
        name = settings.pop("FunctionName", None) or self.name()
        self.client.create_function(**(self.settings(name) | settings))
        self.client.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    def settings(self, name):
        return {
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": ROLE,
            "MemorySize": 512,
            "Timeout": 30,
            "Code": {"ZipFile": self.probe},
        }

    def remove(self):
        for name in self.names:
            try:
                self.client.delete_function(FunctionName=name)
            except self.client.exceptions.ResourceNotFoundException:
                pass


@pytest.fixture
def functions(client, probe):
    functions = Functions(client, probe)
    yield functions
    functions.remove()


@pytest.fixture
def invoke(client):
    """Invokes a function; returns its answer and the whole response."""

    def run(name, event=None, **parameters):
        payload = json.dumps(event or {})
        response = client.invoke(FunctionName=name, Payload=payload, **parameters)
        body = response["Payload"].read()
        return (json.loads(body) if body else None), response

    return run


@pytest.fixture
def messages(logs):
    """The lines of a function's log."""

    def read(name, pattern=""):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{name}", filterPattern=pattern
        )
        try:
            return [event["message"].rstrip() for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    return read


def until(what, check):
    """Waits for something to become true, for at most half a minute."""
    for _ in range(600):
        if value := check():
            return value
        time.sleep(0.05)
    pytest.fail(f"not after half a minute: {what}")
