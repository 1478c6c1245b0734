#!/usr/bin/env python3
"""Measures the programs of chatbot, ml-pipeline or video-analysis as Lambda would run them.

    measure.py WORKFLOW [--threads 1,2] [--repeat 3] [NAME=JSON ...]

Every program runs as one warm instance behind a Runtime API of this script's, one event after the other,
in the order of the workflow's steps. Prints a line for every step: events; milliseconds until the instance
asks for its first; of wall time; of CPU time; of CPU time of the threads that outlast an event; and MiB of
memory at most during an event, and after it. Of several events: the least, the median and the most.

The programs are those of `cargo build --release`; NAME=JSON sets fields of the request. The figures are
medians over the repetitions. On a machine with other work, go by CPU time. The threads that do parallel work
end with it, so with one thread "lasting" is all CPU time, to the nanosecond, and with many threads it is the
time that is not parallel, and a part of the rest as if by one more thread.
"""
import argparse
import http.server
import json
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Steps, and where the result of the step before has the list that a map goes through; and the request
# that the workflow file sends.
WORKFLOWS = {
    "chatbot": ([("parse", None), ("train", "intents"), ("detect", None)], {"seed": 7, "scale": 10}),
    "ml-pipeline": (
        [("pca", None), ("train", "configurations"), ("test", None)],
        {"seed": 7, "rows": 4000, "trees": [10, 20], "features": [0.25, 0.5, 0.75, 1.0]},
    ),
    "video-analysis": (
        [("split", None), ("extract", "chunks"), ("classify", None)],
        {"seed": 7, "seconds": 20, "framesPerSecond": 5, "width": 1280, "height": 720, "detail": 512},
    ),
}


class Instance:
    """A program, and the Runtime API that it asks for events."""

    def __init__(self, program, environment):
        events, answers = queue.Queue(), queue.Queue()
        self.events, self.answers = events, answers

        class Api(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answers.put(("waiting", time.monotonic(), None))
                event = events.get()
                if event is None:
                    return
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4()))
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 900_000))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:function:f")
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                failed = not self.path.endswith("/response")
                answers.put(("failed" if failed else "answered", time.monotonic(), body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        api = f"127.0.0.1:{self.server.server_address[1]}"
        environment = environment | {
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "ERROR",
        }
        started = time.monotonic()
        self.process = subprocess.Popen([program], env=environment)
        self.init_ms = (self.wait_for("waiting")[0] - started) * 1000

    def wait_for(self, what):
        kind, moment, body = self.answers.get(timeout=900)
        if kind != what:
            sys.exit(f"{kind}: {(body or b'').decode()}")
        return moment, body

    def cpu_ms(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def lasting_ms(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def memory_mib(self, what):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(what + ":")[1].split()[0]) / 1024

    def handle(self, event):
        """The answer, and what it took."""
        # From now on the peak is this event's.
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        cpu, lasting, started = self.cpu_ms(), self.lasting_ms(), time.monotonic()
        self.events.put(json.dumps(event).encode())
        ended, body = self.wait_for("answered")
        self.wait_for("waiting")
        return json.loads(body), {
            "wall": (ended - started) * 1000,
            "cpu": self.cpu_ms() - cpu,
            "lasting": self.lasting_ms() - lasting,
            "peak": self.memory_mib("VmHWM"),
            "after": self.memory_mib("VmRSS"),
        }

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.events.put(None)
        self.server.shutdown()


def execute(workflow, request, threads, programs):
    """What every step took."""
    taken = {}
    with tempfile.TemporaryDirectory() as store:
        # The last one is the workflow files'.
        environment = {
            "STORE": f"file://{store}",
            "THREADS": str(threads),
            "MALLOC_MMAP_THRESHOLD_": "524288",
        }
        answer = request | {"executionId": str(uuid.uuid4())}
        for step, items in WORKFLOWS[workflow][0]:
            instance = Instance(str(programs / f"{workflow}-{step}"), environment)
            events = answer[items] if items else [answer]
            handled = [instance.handle(event) for event in events]
            answer = [result for result, _ in handled] if items else handled[0][0]
            taken[step] = {"init": instance.init_ms, "events": [took for _, took in handled]}
            instance.stop()
        if os.listdir(store):
            sys.exit("the last step has not deleted everything")
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workflow", choices=WORKFLOWS)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("fields", nargs="*")
    arguments = parser.parse_intermixed_args()
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = host.split("host: ")[1].split("\n")[0]
    programs = ROOT / "target" / host / "release"
    fields = dict(field.split("=", 1) for field in arguments.fields)
    request = WORKFLOWS[arguments.workflow][1] | {name: json.loads(text) for name, text in fields.items()}
    print(f"{arguments.workflow} {json.dumps(request)}, {arguments.repeat} repetitions")
    columns = ["wall ms", "cpu ms", "lasting ms", "peak MiB", "after MiB"]
    print("step      threads events  init" + "".join(f"{column:>24}" for column in columns))
    for threads in map(int, arguments.threads.split(",")):
        runs = [execute(arguments.workflow, request, threads, programs) for _ in range(arguments.repeat)]
        for step in runs[0]:
            init = statistics.median(run[step]["init"] for run in runs)
            line = f"{step:9} {threads:7} {len(runs[0][step]['events']):6} {init:5.0f}"
            for column in columns:
                name = column.split()[0]
                for over in min, statistics.median, max:
                    of_runs = [over(event[name] for event in run[step]["events"]) for run in runs]
                    line += f"{statistics.median(of_runs):8.1f}"
            print(line, flush=True)


main()
