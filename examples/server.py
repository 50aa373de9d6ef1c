"""A server: a saved net answers single rows over HTTP, as JSON, with the standard library alone.

`answer` is what there is to it: the text of a request in, a status and an answer out. Below stand two ways to serve it:
`app`, 20 lines of WSGI for any server that speaks it (`gunicorn server:app`), and `Handler` for the standard library's
own server, one thread for each connection, which stay open. Any number of threads may use one net.

    python server.py net.safetensors 8000
    curl -d '{"row": [5.1, 3.5, 1.4, 0.2]}' http://127.0.0.1:8000/predict
"""

import json
import math
import os
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

import fastnn
from fastnn import CrossEntropy, Dense, Model, Normalization, datasets

MOST = 64 * 1024  # bytes of a request
NET = "FASTNN_NET"  # where `app` finds the file


def answer(net, body):
    """Return a status and what is answered to a request: outputs for its row, and the class where there are names."""
    try:
        request = json.loads(body, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        return 400, {"error": f"the request is no JSON: {error}"}
    if not isinstance(request, dict) or list(request) != ["row"]:
        return 400, {"error": 'expected {"row": [...]}, or {"row": {"name": number, ...}} of the names of columns'}
    try:
        outputs = net.predict_one(request["row"])
    except (TypeError, ValueError, OverflowError) as error:
        return 400, {"error": str(error)}
    values = outputs.tolist()
    if not all(map(math.isfinite, values)):
        return 400, {"error": "the row has a number that is too large for an answer, or none where one is needed"}
    if net.class_names is None:
        return 200, {"outputs": values}
    return 200, {"outputs": values, "class": net.class_names[int(outputs.argmax())]}


def _finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


# -- WSGI -------------------------------------------------------------------------------------------------------------

_STATUS = {200: "200 OK", 400: "400 Bad Request", 404: "404 Not Found", 413: "413 Content Too Large"}


def make_app(net):
    """Return what any WSGI server runs."""

    def app(environ, start_response):
        length = environ.get("CONTENT_LENGTH") or "0"
        if environ["REQUEST_METHOD"] != "POST" or environ["PATH_INFO"] != "/predict":
            status, found = 404, {"error": "expected POST /predict"}
        elif not length.isdecimal() or int(length) > MOST:
            status, found = 413, {"error": f"expected a Content-Length up to {MOST}"}
        else:
            status, found = answer(net, environ["wsgi.input"].read(int(length)))
        text = json.dumps(found).encode()
        start_response(_STATUS[status], [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
        return [text]

    return app


def __getattr__(name):
    """Load the net when a WSGI server asks for `app`."""
    if name == "app":
        return make_app(fastnn.load(os.environ[NET], mmap=True))
    raise AttributeError(name)


# -- the standard library's server ------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"  # connections stay open
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    timeout = 30  # seconds of silence

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST:
            self.close_connection = True  # what follows is not read
            self.reply(413, {"error": f"expected a Content-Length up to {MOST}"})
            return
        body = self.rfile.read(int(length))
        self.reply(*(answer(self.server.net, body) if self.path == "/predict" else _not_found()))

    def do_GET(self):
        self.reply(*((200, {"ready": True}) if self.path == "/health" else _not_found()))

    def reply(self, status, found):
        text = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Say nothing about each request."""


def _not_found():
    return 404, {"error": "expected POST /predict, or GET /health"}


class Server(ThreadingHTTPServer):
    """Serves a net; on port 0 on a free one, which `server_port` says."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, net, port=0, host="127.0.0.1"):
        super().__init__((host, port), Handler)
        self.net = net
        net.predict_one(np.zeros(net.n_in, net.dtype))  # the first call prepares the others


# -- one that shows it ------------------------------------------------------------------------------------------------


def ask(port, request):
    """Return status and answer of a request."""
    text = request if isinstance(request, bytes) else json.dumps(request).encode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/predict", text, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def make_net():
    """Return a small net that tells even from odd digits, for when no file is given."""
    pixels, labels = datasets.load_digits()
    net = Model([Normalization(), Dense(32, "relu"), Dense(2, "softmax")], seed=0)
    net.class_names = ("even", "odd")
    net.fit(pixels, labels % 2, loss=CrossEntropy(), optimizer="adam", epochs=10)
    return net


def main():
    net = make_net()
    pixels, labels = datasets.load_digits()
    with Server(net) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        print(f"a net on http://127.0.0.1:{server.server_port}/predict")
        replies = [ask(server.server_port, {"row": row.tolist()}) for row in pixels[:5]]
        for (status, found), label in zip(replies, labels, strict=False):
            print(f"a {label}: {status}, {found['class']}, {max(found['outputs']):.3f}")
        wrong = [b"{", {"row": [1, 2]}, {"rows": []}, {"row": ["a"] * 64}]
        refused = [ask(server.server_port, request) for request in wrong]
        for status, found in refused:
            print(f"{status}: {found['error']}")
        server.shutdown()
        thread.join()
    return {"replies": replies, "refused": refused, "net": net}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    elif len(sys.argv) == 3:
        with Server(fastnn.load(sys.argv[1], mmap=True), int(sys.argv[2])) as serving, suppress(KeyboardInterrupt):
            serving.serve_forever()
    else:
        sys.exit("usage: python server.py [net.safetensors port]")
