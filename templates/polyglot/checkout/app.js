'use strict';

// The Lambda function `checkout`, which customers' orders come to. The runtime supplies the SDK.

const { LambdaClient } = require('@aws-sdk/client-lambda');

const { checkout } = require('./lib/checkout');
const { Functions } = require('./lib/functions');

const functions = new Functions(new LambdaClient({}));

exports.handler = (event) => checkout(functions, event);
