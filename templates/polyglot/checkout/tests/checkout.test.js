'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { LambdaClient } = require('@aws-sdk/client-lambda');
const { checkout } = require('../lib/checkout');
const { CallError, Functions } = require('../lib/functions');
const { order } = require('./orders');

const PRICED = {
  outcome: 'priced',
  currency: 'EUR',
  lines: [{ sku: 'MUG-01', name: 'Enamel mug', quantity: 2, net: '25.80' }],
  total: '46.64',
};
const ORDER_ID = 'W-FBE1C6227CB4';

/**
 * The function's world: the SDK's own client, whose HTTP requests are answered from a script.
 *
 * @param {{ [name: string]: { body?: unknown, status?: number, headers?: object } }} answers
 */
function world(answers) {
  const calls = [];
  const requestHandler = {
    async handle(request) {
      const [, name] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(request.path);
      calls.push({
        name,
        kind: request.headers['x-amz-invocation-type'],
        event: JSON.parse(Buffer.from(request.body).toString()),
      });
      const { status = 200, headers = {}, body } = answers[name];
      const bytes = body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body));
      return { response: { statusCode: status, headers, body: bytes } };
    },
  };
  const client = new LambdaClient({
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
    requestHandler,
  });
  return { calls, functions: new Functions(client) };
}

const good = () => ({
  price: { body: PRICED },
  stock: { body: { outcome: 'reserved', orderId: ORDER_ID, holdSeconds: 900 } },
  notify: { status: 202 },
});

test('an order is priced, reserved and confirmed, in this order', async () => {
  const { calls, functions } = world(good());
  const answer = await checkout(functions, { ...order(), coupon: 'WELCOME10' });
  const { outcome, ...price } = PRICED;
  assert.deepEqual(answer, { outcome: 'accepted', orderId: ORDER_ID, ...price, holdSeconds: 900 });
  const { items, customer } = order();
  assert.deepEqual(calls, [
    { name: 'price', kind: undefined, event: { items, country: 'DE', coupon: 'WELCOME10' } },
    { name: 'stock', kind: undefined, event: { action: 'reserve', orderId: ORDER_ID, items } },
    {
      name: 'notify',
      kind: 'Event',
      event: { orderId: ORDER_ID, customer, price, holdSeconds: 900 },
    },
  ]);
});

test('the same key is the same order, another key another one', async () => {
  const { calls, functions } = world(good());
  await checkout(functions, order());
  await checkout(functions, order());
  await checkout(functions, { ...order(), idempotencyKey: 'another-key' });
  const ids = calls.filter(({ name }) => name === 'stock').map(({ event }) => event.orderId);
  assert.equal(ids[0], ids[1]);
  assert.notEqual(ids[0], ids[2]);
  assert.match(ids[2], /^W-[0-9A-F]{12}$/);
});

test('an invalid order is rejected before anybody is asked', async () => {
  const { calls, functions } = world({});
  const answer = await checkout(functions, { ...order(), country: 'Germany' });
  const problems = [{ field: 'country', problem: 'must be a code of two capital letters' }];
  assert.deepEqual(answer, { outcome: 'rejected', reason: 'invalid', problems });
  assert.deepEqual(calls, []);
});

test('an order without a price reserves nothing', async () => {
  const refused = { outcome: 'refused', reason: 'coupon', message: 'there is no coupon NOSUCH1' };
  const { calls, functions } = world({ price: { body: refused } });
  assert.deepEqual(await checkout(functions, order()), { ...refused, outcome: 'rejected' });
  assert.deepEqual(calls.map(({ name }) => name), ['price']);
});

test('an order that cannot be kept is not confirmed', async () => {
  const missing = [{ sku: 'MUG-01', wanted: 2, available: 1 }];
  const short = world({ ...good(), stock: { body: { outcome: 'out-of-stock', missing } } });
  const answer = await checkout(short.functions, order());
  assert.deepEqual(answer, { outcome: 'rejected', reason: 'out-of-stock', missing });
  assert.deepEqual(short.calls.map(({ name }) => name), ['price', 'stock']);

  const other = { outcome: 'order-changed', orderId: ORDER_ID };
  const changed = world({ ...good(), stock: { body: other } });
  assert.equal((await checkout(changed.functions, order())).reason, 'order-changed');
  assert.deepEqual(changed.calls.map(({ name }) => name), ['price', 'stock']);
});

test('a function that fails is a fault, with what it said', async () => {
  const headers = { 'x-amz-function-error': 'Unhandled' };
  const stock = { headers, body: { errorType: 'StoreError', errorMessage: 'no database' } };
  const { calls, functions } = world({ ...good(), stock });
  await assert.rejects(checkout(functions, order()), (error) => {
    assert(error instanceof CallError);
    assert.match(error.message, /^function stock failed.*no database/);
    return true;
  });
  assert.deepEqual(calls.map(({ name }) => name), ['price', 'stock']);
});

test('an answer that was not agreed is a fault', async () => {
  for (const body of [null, 'priced', { outcome: 'described' }, undefined]) {
    const { functions } = world({ price: { body } });
    await assert.rejects(checkout(functions, order()), /function price answered with what was not/);
  }
});

test('a function that is not there is a fault', async () => {
  const headers = { 'x-amzn-errortype': 'ResourceNotFoundException' };
  const notify = { status: 404, headers, body: { Message: 'Function not found' } };
  const { functions } = world({ ...good(), notify });
  await assert.rejects(checkout(functions, order()), { name: 'ResourceNotFoundException' });
});
