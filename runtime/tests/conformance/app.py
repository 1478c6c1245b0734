import json
import os
import time


class NoSuchOrder(Exception):
    pass


def echo(event, context):
    return event


def fail(event, context):
    raise NoSuchOrder("order 17 \u00fc")


def leave(event, context):
    os._exit(3)


def sleep(event, context):
    time.sleep(event.get("seconds", 0))
    return "slept"


def unserialisable(event, context):
    return {"a": object()}


def letters(event, context):
    return "x" * event


def context(event, context):
    client = context.client_context
    return {
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "client": client and client.custom,
        "in time": 50000 < context.get_remaining_time_in_millis() <= 60000,
        "folder": os.getcwd(),
    }


def environment(event, context):
    return dict(os.environ)


def probe(event, context):
    """Does what its event says, in the words of the probe that is written in Rust."""
    import boto3

    calls = []
    for call in event.get("calls", []):
        client = boto3.client("lambda")
        answer = client.invoke(FunctionName=call["function"], Payload=json.dumps(call["payload"]))
        calls.append({
            "status": answer["StatusCode"],
            "function_error": answer.get("FunctionError"),
            "payload": json.loads(answer["Payload"].read()),
        })
    if "exit" in event:
        os._exit(event["exit"])
    if "fail" in event:
        raise ValueError(event["fail"])
    return {
        "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "environment": [os.environ.get(name) for name in event.get("environment", [])],
        "command": open("/proc/self/cmdline").read().split("\0")[:-1],
        "calls": calls,
    }
