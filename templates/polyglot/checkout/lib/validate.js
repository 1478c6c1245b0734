'use strict';

const LARGEST_QUANTITY = 99;
const MOST_ITEMS = 20;

const FIELDS = ['idempotencyKey', 'customer', 'country', 'items', 'coupon'];

// Enough to refuse what cannot be delivered to; whether anybody reads it only a mail can tell.
const EMAIL = /^[^\s@<>"(),:;[\]\\]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/i;
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * What is wrong with an order: `{ field, problem }` for every field at fault, none if it may be
 * placed. Whether the items exist and the country is delivered to is for others to say.
 *
 * @param {unknown} order
 * @returns {{ field: string, problem: string }[]}
 */
function problems(order) {
  if (!isObject(order)) {
    return [{ field: '', problem: 'must be an object' }];
  }
  const found = [];
  const check = (field, holds, problem) => {
    if (!holds) {
      found.push({ field, problem });
    }
  };

  for (const field of unknown(order, FIELDS)) {
    check(field, false, 'is not part of an order');
  }
  check(
    'idempotencyKey',
    matches(order.idempotencyKey, /^[A-Za-z0-9-]{8,64}$/),
    'must be 8 to 64 letters, digits and hyphens',
  );
  checkCustomer(order.customer, check);
  check('country', matches(order.country, /^[A-Z]{2}$/), 'must be a code of two capital letters');
  check(
    'coupon',
    order.coupon === undefined || matches(order.coupon, /^[A-Z0-9]{4,16}$/),
    'must be 4 to 16 capital letters and digits',
  );
  checkItems(order.items, check);
  return found;
}

function checkCustomer(customer, check) {
  if (!isObject(customer)) {
    check('customer', false, 'must be an object');
    return;
  }
  for (const field of unknown(customer, ['name', 'email'])) {
    check(`customer.${field}`, false, 'is not part of an order');
  }
  const { name, email } = customer;
  check(
    'customer.name',
    matches(name, /^.{1,100}$/su) && !CONTROL_CHARACTER.test(name) && name.trim() !== '',
    'must be 1 to 100 characters on one line',
  );
  check(
    'customer.email',
    matches(email, EMAIL) && email.length <= 254,
    'must be an e-mail address',
  );
}

function checkItems(items, check) {
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) {
    check('items', false, `must be a list of 1 to ${MOST_ITEMS} items`);
    return;
  }
  const seen = new Set();
  items.forEach((item, at) => {
    const field = `items[${at}]`;
    if (!isObject(item)) {
      check(field, false, 'must be an object');
      return;
    }
    for (const name of unknown(item, ['sku', 'quantity'])) {
      check(`${field}.${name}`, false, 'is not part of an order');
    }
    const { sku, quantity } = item;
    check(`${field}.sku`, matches(sku, /^[A-Z]{2,8}-[0-9]{1,4}$/), 'must be like MUG-01');
    check(`${field}.sku`, !seen.has(sku), 'is there twice');
    seen.add(sku);
    check(
      `${field}.quantity`,
      Number.isInteger(quantity) && quantity >= 1 && quantity <= LARGEST_QUANTITY,
      `must be a whole number from 1 to ${LARGEST_QUANTITY}`,
    );
  });
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function matches(value, pattern) {
  return typeof value === 'string' && pattern.test(value);
}

function unknown(object, known) {
  return Object.keys(object).filter((field) => !known.includes(field));
}

module.exports = { problems };
