'use strict';

/** An order that may be placed. */
function order() {
  return {
    idempotencyKey: '7b0a3c1e-58b0-4a6e-9f43-0d1f6a0c9b11',
    customer: { name: 'Ada Lovelace', email: 'ada@example.org' },
    country: 'DE',
    items: [
      { sku: 'MUG-01', quantity: 2 },
      { sku: 'TEA-07', quantity: 1 },
    ],
  };
}

module.exports = { order };
