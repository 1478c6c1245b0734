"""`@aws-sdk/client-lambda`: runs `lambda.mjs`."""

import subprocess
from pathlib import Path

import pytest


def test_the_javascript_client(request, endpoint, probe, tmp_path):
    folder = Path(request.config.getoption("--javascript"))
    if not (folder / "node_modules/@aws-sdk/client-lambda").is_dir():
        pytest.skip(f"no JavaScript client in {folder}: npm install --prefix {folder}")
    (tmp_path / "probe.zip").write_bytes(probe)
    command = ["node", folder / "lambda.mjs", endpoint, tmp_path / "probe.zip"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "ok\n"
