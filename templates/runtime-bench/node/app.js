// A function of the runtime benchmark: answers, or calls and says how long each call took.
'use strict';

const { InvokeCommand, LambdaClient } = require('@aws-sdk/client-lambda');

const client = new LambdaClient({});

/** What a called function returns: padding of the wanted size. */
function answer(event) {
  return { padding: 'x'.repeat(event.pad_bytes ?? 0) };
}

/** Calls another function and reads its answer. */
async function invoke(functionName, payload) {
  const result = await client.send(
    new InvokeCommand({ FunctionName: functionName, Payload: payload }),
  );
  const body = JSON.parse(Buffer.from(result.Payload).toString());
  if (result.FunctionError) {
    throw new Error(`${functionName} failed: ${JSON.stringify(body)}`);
  }
}

/** The same call, answered by whoever takes it first. */
async function dryRun(functionName, payload) {
  await client.send(
    new InvokeCommand({ FunctionName: functionName, Payload: payload, InvocationType: 'DryRun' }),
  );
}

/** The same answer without leaving the process: a plain call with JSON both ways. */
function inProcess(payload) {
  return JSON.parse(JSON.stringify(answer(JSON.parse(payload))));
}

/** Makes the rounds the event asks for, or answers it. */
exports.handler = async (event) => {
  if (!event.rounds) {
    return answer(event);
  }
  const payload = JSON.stringify(event.payload);
  const times = [];
  for (let round = 0; round < event.rounds; round += 1) {
    const started = process.hrtime.bigint();
    if (event.function === undefined) {
      inProcess(payload);
    } else if (event.dry_run) {
      await dryRun(event.function, payload);
    } else {
      await invoke(event.function, payload);
    }
    times.push(Number(process.hrtime.bigint() - started));
  }
  return { call_ns: times };
};
