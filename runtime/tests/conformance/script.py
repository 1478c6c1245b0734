# What every script begins with that is a custom runtime: AWS's tutorial, in Python.
import http.client, json, os, signal, subprocess, sys, time

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
PREFIX = "/2018-06-01/runtime/"

def send(method, path, body="", headers={}):
    api.request(method, PREFIX + path, body, headers)
    answer = api.getresponse()
    return answer.status, answer.headers, answer.read()

def next_event():
    _, headers, body = send("GET", "invocation/next")
    return headers["Lambda-Runtime-Aws-Request-Id"], body, headers

def post(id, body, kind="response", headers={}):
    return send("POST", f"invocation/{id}/{kind}", body, headers)
