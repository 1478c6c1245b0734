// What @aws-sdk/client-lambda does against a server: `node lambda.mjs ENDPOINT PROBE_ZIP`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  ListTagsCommand,
  PutFunctionConcurrencyCommand,
  PutFunctionEventInvokeConfigCommand,
  paginateListFunctions,
  waitUntilFunctionActiveV2,
} from "@aws-sdk/client-lambda";

const [endpoint, zip] = process.argv.slice(2);
const client = new LambdaClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
  maxAttempts: 1,
});
const FunctionName = `client-test-node-${process.pid}`;

async function invoke(event, parameters = {}) {
  const Payload = JSON.stringify(event);
  const response = await client.send(new InvokeCommand({ FunctionName, Payload, ...parameters }));
  const text = response.Payload?.transformToString();
  return { ...response, answer: text ? JSON.parse(text) : undefined };
}

async function refused(name, promise) {
  const error = await promise.then(() => assert.fail(`${name} was expected`), (error) => error);
  assert.equal(error.name, name, error.message);
  return error;
}

await refused("ResourceNotFoundException", invoke({}));
const settings = {
  FunctionName,
  Runtime: "provided.al2023",
  Handler: "bootstrap",
  Role: "arn:aws:iam::000000000000:role/test",
  MemorySize: 512,
  Timeout: 30,
  Publish: true,
  Tags: { team: "x" },
  Code: { ZipFile: await readFile(zip) },
};
const { FunctionArn } = await client.send(new CreateFunctionCommand(settings));
try {
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 30 }, { FunctionName });
  await refused("ResourceConflictException", client.send(new CreateFunctionCommand(settings)));

  const ok = await invoke({ print: "hello" }, { LogType: "Tail" });
  assert.equal(ok.answer.function, FunctionName);
  assert.equal(ok.ExecutedVersion, "$LATEST");
  assert.match(Buffer.from(ok.LogResult, "base64").toString(), /^START RequestId: .*\nhello\n/);
  const failed = await invoke({ fail: "no luck" });
  assert.deepEqual([failed.StatusCode, failed.FunctionError], [200, "Unhandled"]);
  assert.equal(failed.answer.errorMessage, "no luck");
  assert.equal((await invoke({}, { InvocationType: "Event" })).StatusCode, 202);
  assert.equal((await invoke({}, { InvocationType: "DryRun" })).StatusCode, 204);
  const large = { print: "x".repeat(6 << 20) };
  await refused("RequestTooLargeException", invoke(large));

  const alias = { FunctionName, Name: "live", FunctionVersion: "1" };
  await client.send(new CreateAliasCommand(alias));
  assert.equal((await invoke({}, { Qualifier: "live" })).ExecutedVersion, "1");
  const routing = { RoutingConfig: { AdditionalVersionWeights: { 1: 0.5 } } };
  const twice = client.send(new CreateAliasCommand({ ...alias, ...routing, Name: "twice" }));
  await refused("InvalidParameterValueException", twice);

  const found = await client.send(new GetFunctionCommand({ FunctionName }));
  assert.equal(found.Configuration.LastUpdateStatus, "Successful");
  const tags = await client.send(
    new ListTagsCommand({ Resource: FunctionArn.replace(/:function:([^:]+):.*/, ":function:$1") }),
  );
  assert.deepEqual(tags.Tags, { team: "x" });
  const names = [];
  for await (const page of paginateListFunctions({ client, pageSize: 1 }, {})) {
    names.push(...page.Functions.map((listed) => listed.FunctionName));
  }
  assert.ok(names.includes(FunctionName));

  const rules = { FunctionName, MaximumRetryAttempts: 1 };
  const config = await client.send(new PutFunctionEventInvokeConfigCommand(rules));
  assert.ok(config.LastModified instanceof Date);
  const none = { FunctionName, ReservedConcurrentExecutions: 0 };
  await client.send(new PutFunctionConcurrencyCommand(none));
  const throttled = await refused("TooManyRequestsException", invoke({}));
  assert.equal(throttled.Reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
} finally {
  await client.send(new DeleteFunctionCommand({ FunctionName }));
}
console.log("ok");
