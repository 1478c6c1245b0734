"""Reserved concurrency."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import until


def test_a_reservation_bounds_a_function(client, functions, invoke, messages):
    name = functions.create()
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert client.get_function(FunctionName=name)["Concurrency"] == {
        "ReservedConcurrentExecutions": 1
    }
    with ThreadPoolExecutor() as pool:
        busy = pool.submit(invoke, name, {"sleep_ms": 5_000})
        until("it runs", lambda: messages(name, "START"))
        with pytest.raises(client.exceptions.TooManyRequestsException) as error:
            invoke(name)
        answer, _ = busy.result()
    assert answer["function"] == name
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    for _ in range(5):
        invoke(name)  # One after the other there is room for all.


def test_a_reservation_of_nothing_stops_a_function(client, functions, invoke):
    name, other = functions.create(), functions.create()
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        invoke(name)
    invoke(other)
    client.delete_function_concurrency(FunctionName=name)
    invoke(name)


def test_reservations_leave_some(client, functions):
    name = functions.create()
    before = client.get_account_settings()["AccountLimit"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=7)
    after = client.get_account_settings()["AccountLimit"]
    unreserved = "UnreservedConcurrentExecutions"
    assert before[unreserved] - after[unreserved] == 7
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="minimum value"):
        client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=before["ConcurrentExecutions"]
        )
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 7
