"""Aliases, weighted ones too."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def versions(client, functions):
    """A function with versions 1 and 2."""
    name = functions.create(Publish=True)
    client.update_function_configuration(FunctionName=name, Description="second")
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    client.publish_version(FunctionName=name)
    return name


def weights(version, weight):
    return {"AdditionalVersionWeights": {version: weight}}


def test_an_alias_moves(client, versions, invoke):
    alias = client.create_alias(FunctionName=versions, Name="live", FunctionVersion="1")
    assert alias["AliasArn"].endswith(f":function:{versions}:live")
    _, response = invoke(versions, Qualifier="live")
    assert response["ExecutedVersion"] == "1"
    client.update_alias(FunctionName=versions, Name="live", FunctionVersion="2")
    _, response = invoke(f"{versions}:live")
    assert response["ExecutedVersion"] == "2"
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.update_alias(FunctionName=versions, Name="live", RevisionId=alias["RevisionId"])
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.create_alias(FunctionName=versions, Name="live", FunctionVersion="1")
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_function(FunctionName=versions, Qualifier="2")
    client.delete_alias(FunctionName=versions, Name="live")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_alias(FunctionName=versions, Name="live")


def test_weights_split_invocations(client, versions, invoke):
    client.create_alias(
        FunctionName=versions, Name="live", FunctionVersion="1", RoutingConfig=weights("2", 0.3)
    )
    executed = [invoke(versions, Qualifier="live")[1]["ExecutedVersion"] for _ in range(100)]
    # Six standard deviations on either side: the seed of a given server is not known.
    assert 3 <= executed.count("2") <= 57 and set(executed) == {"1", "2"}
    found = client.get_alias(FunctionName=versions, Name="live")
    assert (found["FunctionVersion"], found["RoutingConfig"]) == ("1", weights("2", 0.3))
    for version in ["1", "2"]:
        listed = client.list_aliases(FunctionName=versions, FunctionVersion=version)["Aliases"]
        assert [alias["Name"] for alias in listed] == ["live"]
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_function(FunctionName=versions, Qualifier="2")

    client.update_alias(FunctionName=versions, Name="live", RoutingConfig=weights("2", 1.0))
    assert invoke(versions, Qualifier="live")[1]["ExecutedVersion"] == "2"
    client.update_alias(
        FunctionName=versions, Name="live", RoutingConfig={"AdditionalVersionWeights": {}}
    )
    assert "RoutingConfig" not in client.get_alias(FunctionName=versions, Name="live")
    assert invoke(versions, Qualifier="live")[1]["ExecutedVersion"] == "1"


@pytest.mark.parametrize(
    "version, extra, code",
    [
        ("1", {"2": 0.1, "3": 0.1}, "InvalidParameterValueException"),
        ("1", {"2": 1.5}, "ValidationException"),
        ("1", {"$LATEST": 0.5}, "ValidationException"),
        ("$LATEST", {"2": 0.5}, "InvalidParameterValueException"),
        ("1", {"1": 0.5}, "InvalidParameterValueException"),
        ("1", {"7": 0.5}, "ResourceNotFoundException"),
        ("7", {}, "ResourceNotFoundException"),
    ],
)
def test_bad_routing_is_refused(client, versions, version, extra, code):
    with pytest.raises(ClientError) as error:
        client.create_alias(
            FunctionName=versions,
            Name="bad",
            FunctionVersion=version,
            RoutingConfig={"AdditionalVersionWeights": extra},
        )
    assert error.value.response["Error"]["Code"] == code
    assert client.list_aliases(FunctionName=versions)["Aliases"] == []
