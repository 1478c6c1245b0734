"""Functions, versions, tags: what deploying tools do first."""

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError
from conftest import ROLE, zip_of


def test_a_new_function_is_described(client, functions, probe):
    name = functions.create(
        Description="a probe", Environment={"Variables": {"A": "1"}}, Tags={"team": "x"}
    )
    found = client.get_function(FunctionName=name)
    configuration = found["Configuration"]
    expected = {
        "FunctionName": name,
        "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "Runtime": "provided.al2023",
        "Role": ROLE,
        "Handler": "bootstrap",
        "CodeSize": len(probe),
        "CodeSha256": base64.b64encode(hashlib.sha256(probe).digest()).decode(),
        "Description": "a probe",
        "Timeout": 30,
        "MemorySize": 512,
        "Version": "$LATEST",
        "Environment": {"Variables": {"A": "1"}},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
    }
    assert {key: configuration[key] for key in expected} == expected
    assert found["Tags"] == {"team": "x"}
    client.get_waiter("function_exists").wait(FunctionName=name)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_function(FunctionName="nobody"),
        lambda client: client.get_function_configuration(FunctionName="nobody"),
        lambda client: client.delete_function(FunctionName="nobody"),
        lambda client: client.invoke(FunctionName="nobody"),
        lambda client: client.invoke(FunctionName="nobody", InvocationType="Event"),
        lambda client: client.update_function_code(FunctionName="nobody", ZipFile=b"x"),
        lambda client: client.update_function_configuration(FunctionName="nobody", Timeout=3),
        lambda client: client.publish_version(FunctionName="nobody"),
        lambda client: client.list_versions_by_function(FunctionName="nobody"),
        lambda client: client.list_aliases(FunctionName="nobody"),
        lambda client: client.get_alias(FunctionName="nobody", Name="live"),
        lambda client: client.get_function_concurrency(FunctionName="nobody"),
        lambda client: client.put_function_concurrency(
            FunctionName="nobody", ReservedConcurrentExecutions=1
        ),
        lambda client: client.get_function_event_invoke_config(FunctionName="nobody"),
        lambda client: client.list_tags(
            Resource="arn:aws:lambda:us-east-1:000000000000:function:nobody"
        ),
        lambda client: client.invoke(FunctionName="999999999999:function:nobody"),
    ],
)
def test_what_is_not_there_is_not_found(client, call):
    with pytest.raises(client.exceptions.ResourceNotFoundException) as error:
        call(client)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error.value.response["Type"] == "User"


def test_a_name_is_given_once(client, functions):
    name = functions.create()
    with pytest.raises(client.exceptions.ResourceConflictException) as error:
        client.create_function(**functions.settings(name))
    assert error.value.response["Error"]["Message"] == f"Function already exist: {name}"
    client.delete_function(FunctionName=name)
    functions.create(FunctionName=name)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"Code": {"ZipFile": b"no zip"}}, "unzip"),
        ({"Code": {"ZipFile": zip_of({"../out": b""})}}, "../out"),
        ({"Timeout": 901}, "1–900"),
        ({"MemorySize": 10241}, "128–10240"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "AWS_REGION"),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "S3"),
    ],
)
def test_bad_settings_are_refused(client, functions, settings, expected):
    name = functions.name()
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=expected):
        client.create_function(**(functions.settings(name) | settings))
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName=name)


def test_lists_page(client, functions):
    names = {functions.create() for _ in range(3)}
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    pages = list(pages)
    assert all(len(page["Functions"]) <= 2 for page in pages)
    listed = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert names <= set(listed) and len(listed) == len(set(listed))

    name = min(names)
    client.publish_version(FunctionName=name)
    every = client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    arns = {function["FunctionArn"] for page in every for function in page["Functions"]}
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert {arn, f"{arn}:1"} <= {arn.removesuffix(":$LATEST") for arn in arns}


def test_updates_end_and_publish_versions(client, functions, invoke):
    name = functions.create(Environment={"Variables": {"LABEL": "one"}}, Publish=True)
    updated = client.get_waiter("function_updated_v2")
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"LABEL": "two"}}
    )
    updated.wait(FunctionName=name)
    assert client.publish_version(FunctionName=name, Description="second")["Version"] == "2"
    assert client.publish_version(FunctionName=name)["Version"] == "2", "nothing changed"
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2")

    code = zip_of({"bootstrap": b"#!/bin/sh\n"})
    response = client.update_function_code(FunctionName=name, ZipFile=code, Publish=True)
    assert (response["Version"], response["CodeSize"]) == ("3", len(code))
    updated.wait(FunctionName=name)
    # Again the same code, which makes no new version.
    response = client.update_function_code(FunctionName=name, ZipFile=code, Publish=True)
    assert response["Version"] == "3"
    updated.wait(FunctionName=name)

    versions = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST", "1", "2", "3"]
    for version, label in [("1", "one"), ("2", "two")]:
        answer, response = invoke(name, {"environment": ["LABEL"]}, Qualifier=version)
        assert (answer["environment"], response["ExecutedVersion"]) == ([label], version)
    client.delete_function(FunctionName=name, Qualifier="1")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName=name, Qualifier="1")


def test_a_dry_run_of_new_code_changes_nothing(client, functions):
    name = functions.create()
    before = client.get_function_configuration(FunctionName=name)
    client.update_function_code(
        FunctionName=name, ZipFile=zip_of({"bootstrap": b""}), DryRun=True
    )
    after = client.get_function_configuration(FunctionName=name)
    assert after["CodeSha256"] == before["CodeSha256"]


def test_stale_revisions_are_refused(client, functions):
    name = functions.create()
    stale = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.update_function_configuration(FunctionName=name, Timeout=4, RevisionId=stale)
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.update_function_configuration(FunctionName=name, Timeout=5, RevisionId=stale)
    with pytest.raises(client.exceptions.PreconditionFailedException):
        client.publish_version(FunctionName=name, RevisionId=stale)
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.publish_version(FunctionName=name, CodeSha256="x" * 44)


def test_functions_have_many_names(client, functions):
    name = functions.create(Publish=True)
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    for form in [name, arn, f"000000000000:function:{name}", f"{name}:$LATEST"]:
        found = client.get_function_configuration(FunctionName=form)
        assert (found["FunctionName"], found["Version"]) == (name, "$LATEST")
    for form in [f"{name}:1", f"{arn}:1", f"000000000000:function:{name}:1"]:
        assert client.get_function_configuration(FunctionName=form)["Version"] == "1"
    assert client.get_function_configuration(FunctionName=name, Qualifier="1")["Version"] == "1"
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.get_function(FunctionName=f"{name}:1", Qualifier="2")


def test_tags_come_and_go(client, functions):
    arn = client.get_function(FunctionName=functions.create())["Configuration"]["FunctionArn"]
    assert client.list_tags(Resource=arn)["Tags"] == {}
    client.tag_resource(Resource=arn, Tags={"a": "1", "b c": "2", "d": "3"})
    client.tag_resource(Resource=arn, Tags={"a": "4"})
    client.untag_resource(Resource=arn, TagKeys=["b c", "d", "nobody"])
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "4"}
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="aws:x"):
        client.tag_resource(Resource=arn, Tags={"aws:x": "1"})


def test_the_account_has_limits_and_usage(client, functions):
    functions.create()
    account = client.get_account_settings()
    limit, usage = account["AccountLimit"], account["AccountUsage"]
    assert limit["UnreservedConcurrentExecutions"] <= limit["ConcurrentExecutions"]
    assert usage["FunctionCount"] >= 1 and usage["TotalCodeSize"] > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.list_event_source_mappings(),
        lambda client: client.list_function_url_configs(FunctionName="f"),
        lambda client: client.get_policy(FunctionName="f"),
    ],
)
def test_what_is_not_offered_is_said(client, call):
    with pytest.raises(ClientError, match="does not offer GET") as error:
        call(client)
    assert error.value.response["Error"]["Code"] == "UnknownOperationException"
