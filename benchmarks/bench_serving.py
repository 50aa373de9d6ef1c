"""Single rows over HTTP: how long an answer takes at 1,000 requests a second over loopback, and the model's share.

examples/server.py runs in a process of its own. Connections stay open, and requests leave at fixed times, whether the
answers before have come or not: a latency is counted from when its request was due, so that no delay is left out.
"""

import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import frame
import numpy as np

from fastnn import Dense, Model, Normalization

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE, SECONDS, CONNECTIONS = 1000, 20, 8
WARM_UP = 0.5  # seconds that are not counted
_SERVE = """\
import sys
import fastnn, server
with server.Server(fastnn.load(sys.argv[1], mmap=True)) as serving:
    print(serving.server_port, flush=True)
    serving.serve_forever()
"""


def make_net():
    net = Model([Normalization(), Dense(64, "relu"), Dense(64, "relu"), Dense(10, "softmax")], seed=0)
    return net.build(20)


def ask_in_time(port, requests, due, latencies):
    """Send a request at each of the times that are due, over one connection, and note how long the answers took."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i, moment in enumerate(due):
            wait = moment - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            connection.sendall(requests[i % len(requests)])
            answer = read_answer(connection)
            latencies[i] = time.perf_counter() - moment
            if not answer.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(answer.decode())


def read_answer(connection):
    """Return the head and the body of an answer."""
    text, length = b"", None
    while length is None or len(text) < length:
        part = connection.recv(65536)
        if not part:
            raise RuntimeError(f"the server has closed a connection: {text.decode()}")
        text += part
        head, found, _ = text.partition(b"\r\n\r\n")
        if found and length is None:
            length = len(head) + 4 + int(re.search(rb"Content-Length: (\d+)", head)[1])
    return text


def of_server(net, rows, rate, seconds):
    """Return the latencies of answers, in seconds, sorted."""
    bodies = [json.dumps({"row": row}).encode() for row in rows]
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        net.save(path)
        command = [sys.executable, "-c", _SERVE, str(path)]
        with subprocess.Popen(
            command, cwd=EXAMPLES, env=frame.same_modules(), stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                port = int(process.stdout.readline())
                n = max(1, int(rate * (seconds + WARM_UP)) // CONNECTIONS)
                latencies = np.full((CONNECTIONS, n), np.nan)
                start = time.perf_counter() + 0.2
                threads = []
                for i in range(CONNECTIONS):
                    due = start + (i + CONNECTIONS * np.arange(n)) / rate
                    threads.append(threading.Thread(target=ask_in_time, args=(port, requests, due, latencies[i])))
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            finally:
                process.kill()
    if np.isnan(latencies).any():
        raise RuntimeError("a connection has failed: see above")
    return np.sort(latencies[:, int(rate * WARM_UP) // CONNECTIONS :].ravel())


def of_model(net, rows):
    """Return the seconds of predict_one for rows as they come out of JSON, sorted, one thread."""
    seconds = np.empty(5000)
    for i in range(len(seconds)):
        row = rows[i % len(rows)]
        start = time.perf_counter()
        net.predict_one(row)
        seconds[i] = time.perf_counter() - start
    return np.sort(seconds)


def benchmark(chosen, report):
    rate = chosen.rate or (100 if chosen.smoke else RATE)
    seconds = 0.5 if chosen.smoke else 5 if chosen.quick else SECONDS
    net = make_net()
    rows = np.random.default_rng(0).normal(size=(100, net.n_in)).tolist()
    answers, model = of_server(net, rows, rate, seconds), of_model(net, rows)
    found = {
        "rate": rate,
        "answers": len(answers),
        "p50": float(np.quantile(answers, 0.5)),
        "p99": float(np.quantile(answers, 0.99)),
        "largest": float(answers[-1]),
        "model": float(np.quantile(model, 0.5)),
    }
    found["share_of_model"] = found["model"] / found["p50"]
    print(f"{net.n_in} numbers in, {net.n_out} out, {net.n_parameters:,} parameters; {CONNECTIONS} connections")
    print(f"{rate:,} requests a second, {len(answers):,} answers: p50 {1e3 * found['p50']:.2f} ms, ", end="")
    print(f"p99 {1e3 * found['p99']:.2f} ms, the slowest {1e3 * found['largest']:.1f} ms")
    print(f"predict_one takes {1e6 * found['model']:.1f} µs of that, {100 * found['share_of_model']:.2g} % of p50")
    report.rows.append(found)


def more_options(parser):
    parser.add_argument("--rate", type=frame.count, metavar="N", help=f"requests a second: {RATE}")


if __name__ == "__main__":
    frame.run(__doc__, benchmark, more_options, single=True)
