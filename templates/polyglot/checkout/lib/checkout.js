'use strict';

const { createHash } = require('node:crypto');

const { problems } = require('./validate');

/**
 * Places an order: checks it, has it priced, reserves its items, and has it confirmed.
 *
 * Sent again with the same idempotency key, it is the same order: its items are reserved once and
 * it is confirmed once.
 *
 * @param {import('./functions').Functions} functions
 * @param {unknown} order
 * @returns {Promise<object>} `{ outcome: 'accepted', … }` or `{ outcome: 'rejected', reason, … }`
 */
async function checkout(functions, order) {
  const found = problems(order);
  if (found.length > 0) {
    return rejected('invalid', { problems: found });
  }
  const { items, country, coupon, customer } = order;

  const request = { items, country, ...(coupon !== undefined && { coupon }) };
  const priced = await functions.ask('price', request, ['priced', 'refused']);
  if (priced.outcome === 'refused') {
    return rejected(priced.reason, { message: priced.message });
  }

  const orderId = orderIdOf(order.idempotencyKey);
  const kept = await functions.ask('stock', { action: 'reserve', orderId, items }, [
    'reserved',
    'out-of-stock',
    'order-changed',
  ]);
  if (kept.outcome === 'out-of-stock') {
    return rejected('out-of-stock', { missing: kept.missing });
  }
  if (kept.outcome === 'order-changed') {
    const message = 'the idempotency key belongs to an order of other items; use a new one';
    return rejected('order-changed', { message });
  }

  const { outcome, ...price } = priced;
  const { holdSeconds } = kept;
  await functions.tell('notify', { orderId, customer, price, holdSeconds });
  return { outcome: 'accepted', orderId, ...price, holdSeconds };
}

function rejected(reason, details) {
  return { outcome: 'rejected', reason, ...details };
}

/** The order's number, which follows from its idempotency key. */
function orderIdOf(idempotencyKey) {
  const hash = createHash('sha256').update(idempotencyKey).digest('hex');
  return `W-${hash.slice(0, 12).toUpperCase()}`;
}

module.exports = { checkout };
