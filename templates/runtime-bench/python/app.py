"""A function of the runtime benchmark: answers, or calls and says how long each call took."""

import json
import time

import boto3

CLIENT = boto3.client("lambda")


def answer(event: dict) -> dict:
    """What a called function returns: padding of the wanted size."""
    return {"padding": "x" * event.get("pad_bytes", 0)}


def invoke(function: str, payload: str) -> None:
    """Calls another function and reads its answer."""
    result = CLIENT.invoke(FunctionName=function, Payload=payload)
    body = json.loads(result["Payload"].read())
    if "FunctionError" in result:
        raise RuntimeError(f"{function} failed: {body}")


def dry_run(function: str, payload: str) -> None:
    """The same call, answered by whoever takes it first."""
    CLIENT.invoke(FunctionName=function, Payload=payload, InvocationType="DryRun")


def in_process(payload: str) -> None:
    """The same answer without leaving the process: a plain call with JSON both ways."""
    json.loads(json.dumps(answer(json.loads(payload))))


def handler(event: dict, _context: object) -> dict:
    """Makes the rounds the event asks for, or answers it."""
    rounds = event.get("rounds", 0)
    if rounds == 0:
        return answer(event)
    function, payload = event.get("function"), json.dumps(event["payload"])
    times = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        if function is None:
            in_process(payload)
        elif event.get("dry_run"):
            dry_run(function, payload)
        else:
            invoke(function, payload)
        times.append(time.perf_counter_ns() - started)
    return {"call_ns": times}
