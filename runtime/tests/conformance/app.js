class NoSuchOrder extends Error {
  constructor(text) {
    super(text);
    this.name = "NoSuchOrder";
  }
}

exports.echo = async (event) => event;

exports.fail = async () => {
  throw new NoSuchOrder("order 17 \u00fc");
};

exports.leave = async () => {
  process.exit(3);
};

exports.sleep = (event) => new Promise((done) => setTimeout(() => done("slept"), 1000 * (event.seconds ?? 0)));

exports.unserialisable = async () => ({ a: 1n });

exports.letters = async (event) => "x".repeat(event);

exports.context = async (event, context) => ({
  name: context.functionName,
  version: context.functionVersion,
  memory: context.memoryLimitInMB,
  arn: context.invokedFunctionArn,
  client: context.clientContext ?? null,
  "in time": context.getRemainingTimeInMillis() > 50000 && context.getRemainingTimeInMillis() <= 60000,
  folder: process.cwd(),
});

exports.environment = async () => process.env;

// Does what its event says, in the words of the probe that is written in Rust.
exports.probe = async (event) => {
  const { InvokeCommand, LambdaClient } = require("@aws-sdk/client-lambda");
  const calls = [];
  for (const call of event.calls ?? []) {
    const client = new LambdaClient({});
    const command = new InvokeCommand({ FunctionName: call.function, Payload: JSON.stringify(call.payload) });
    const answer = await client.send(command);
    calls.push({
      status: answer.StatusCode,
      function_error: answer.FunctionError ?? null,
      payload: JSON.parse(Buffer.from(answer.Payload).toString()),
    });
  }
  if (event.exit !== undefined) process.exit(event.exit);
  if (event.fail !== undefined) throw new Error(event.fail);
  return {
    function: process.env.AWS_LAMBDA_FUNCTION_NAME,
    environment: (event.environment ?? []).map((name) => process.env[name] ?? null),
    calls,
  };
};
