'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { problems } = require('../lib/validate');
const { order } = require('./orders');

/** The problems of an order that differs from a good one. */
const of = (changes) => problems({ ...order(), ...changes });
const fields = (changes) => of(changes).map(({ field }) => field);

test('a good order has no problems', () => {
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ coupon: 'WELCOME10' }), []);
});

test('only an object is an order', () => {
  for (const nothing of [null, undefined, 7, 'order', [], [order()]]) {
    assert.deepEqual(problems(nothing), [{ field: '', problem: 'must be an object' }]);
  }
});

test('every problem is named, with its field', () => {
  assert.deepEqual(fields({ idempotencyKey: undefined, country: 'de', items: [], total: 1 }), [
    'total',
    'idempotencyKey',
    'country',
    'items',
  ]);
  const items = [{ sku: 'mug', quantity: 0, price: 1 }, null, { sku: 'MUG-01', quantity: 1.5 }];
  assert.deepEqual(fields({ items }), [
    'items[0].price',
    'items[0].sku',
    'items[0].quantity',
    'items[1]',
    'items[2].quantity',
  ]);
  assert.deepEqual(fields({ customer: { phone: '1' } }), [
    'customer.phone',
    'customer.name',
    'customer.email',
  ]);
  assert.deepEqual(fields({ customer: 'Ada' }), ['customer']);
});

test('quantities are whole numbers from 1 to 99', () => {
  const withQuantity = (quantity) => fields({ items: [{ sku: 'MUG-01', quantity }] });
  for (const good of [1, 2, 99]) {
    assert.deepEqual(withQuantity(good), [], String(good));
  }
  for (const bad of [0, -1, 100, 1.5, '2', NaN, Infinity, null, undefined, [1]]) {
    assert.deepEqual(withQuantity(bad), ['items[0].quantity'], String(bad));
  }
});

test('an item is named once, and 20 are enough', () => {
  const twice = [
    { sku: 'MUG-01', quantity: 1 },
    { sku: 'MUG-01', quantity: 2 },
  ];
  assert.deepEqual(of({ items: twice }), [{ field: 'items[1].sku', problem: 'is there twice' }]);
  const many = (count) => Array.from({ length: count }, (_, at) => ({ sku: `MUG-${at}`, quantity: 1 }));
  assert.deepEqual(fields({ items: many(20) }), []);
  assert.deepEqual(fields({ items: many(21) }), ['items']);
});

test('e-mail addresses', () => {
  const withEmail = (email) => fields({ customer: { name: 'Ada', email } });
  for (const good of ['a@b.de', 'ada.l+shop@mail.example.org', "o'neill@example.co.uk", 'ü@exa-mple.org']) {
    assert.deepEqual(withEmail(good), [], good);
  }
  const bad = ['', 'ada', 'ada@', '@example.org', 'ada@localhost', 'a b@example.org', 'a@@example.org'];
  bad.push('a@-b.de', 'a@b-.de', 'a@b..de', 'ada@example.org\n', 'Ada <ada@example.org>', 7, null);
  bad.push(`${'a'.repeat(65)}@example.org`, `a@${'b.'.repeat(130)}de`);
  for (const text of bad) {
    assert.deepEqual(withEmail(text), ['customer.email'], String(text));
  }
});

test('a name is one line', () => {
  const withName = (name) => fields({ customer: { name, email: 'a@b.de' } });
  for (const good of ['A', '李 明', "D'Arcy \"Wentworth\"", 'x'.repeat(100), '𝒜'.repeat(100)]) {
    assert.deepEqual(withName(good), [], good);
  }
  for (const bad of ['', ' ', 'a\nb', 'a\tb', 'x'.repeat(101), 7]) {
    assert.deepEqual(withName(bad), ['customer.name'], String(bad));
  }
});

test('keys, countries and coupons have a form', () => {
  assert.deepEqual(fields({ idempotencyKey: '1234567' }), ['idempotencyKey']);
  assert.deepEqual(fields({ idempotencyKey: 'x'.repeat(65) }), ['idempotencyKey']);
  assert.deepEqual(fields({ idempotencyKey: '../../etc' }), ['idempotencyKey']);
  assert.deepEqual(fields({ country: 'DEU' }), ['country']);
  assert.deepEqual(fields({ coupon: 'welcome' }), ['coupon']);
  assert.deepEqual(fields({ coupon: null }), ['coupon']);
});
