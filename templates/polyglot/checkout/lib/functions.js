'use strict';

const { InvokeCommand } = require('@aws-sdk/client-lambda');

/** Another function failed, or answered with something that was not agreed. */
class CallError extends Error {
  constructor(message) {
    super(message);
    this.name = 'CallError';
  }
}

/** Lambda functions of the same account and region. */
class Functions {
  #client;

  /** @param {import('@aws-sdk/client-lambda').LambdaClient} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Calls a function and waits for its answer, which must have one of the outcomes.
   *
   * @param {string} name
   * @param {object} request
   * @param {string[]} outcomes
   * @returns {Promise<object>}
   */
  async ask(name, request, outcomes) {
    const sent = await this.#client.send(
      new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(request) }),
    );
    const text = sent.Payload?.transformToString() ?? '';
    if (sent.FunctionError) {
      throw new CallError(`function ${name} failed; its log says more: ${text}`);
    }
    const answer = parse(text);
    if (!outcomes.includes(answer?.outcome)) {
      throw new CallError(`function ${name} answered with what was not agreed: ${text}`);
    }
    return answer;
  }

  /**
   * Has a function called later, with as many attempts as it needs.
   *
   * @param {string} name
   * @param {object} event
   */
  async tell(name, event) {
    await this.#client.send(
      new InvokeCommand({
        FunctionName: name,
        InvocationType: 'Event',
        Payload: JSON.stringify(event),
      }),
    );
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { CallError, Functions };
