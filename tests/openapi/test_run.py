"""The check's own tests: an API that lies in one thing is caught in that one, a true one passes."""

import contextlib
import http.server
import json
import subprocess
import threading
import unittest
from unittest import mock

import run

TOKEN = "good"


def document():
    """A small API's document, in the native style."""
    fault = {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
    content = {"application/json": {"schema": fault}}
    refusals = {str(status): {"description": "Refused.", "content": content} for status in (401, 404, 405, 422)}
    thing = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer", "maximum": 9}}}
    body = {"required": True, "content": {"application/json": {"schema": {**thing, "additionalProperties": False}}}}
    good = {"200": {"description": "Good.", "content": {"application/json": {"schema": thing}}}}
    put = {"operationId": "put", "security": [{"bearer": []}], "requestBody": body, "responses": {**good, **refusals}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "A small API", "version": "1"},
        "paths": {"/things": {"put": put}},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


class Api(http.server.BaseHTTPRequestHandler):
    """Answers as the document says, but for what `lie` changes."""

    lie = None

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        if self.path == "/openapi.json":
            return self.answer(200, document())
        return self.other()

    def other(self):
        if self.path.split("?")[0] == "/things":
            return self.answer(405, {"code": "unknown_op"}, Allow="PUT")
        return self.answer(404, {"code": "unknown_op"})

    do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_TRACE = do_QUERY = other

    def do_PUT(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"code": "unauthenticated"}, **{"WWW-Authenticate": "Bearer"})
        try:
            body = json.loads(sent)
        except ValueError:
            return self.answer(422, {"code": "malformed"})
        size = body.get("size") if isinstance(body, dict) and set(body) == {"size"} else None
        is_size = isinstance(size, (int, float)) and not isinstance(size, bool) and size == int(size)
        if self.lie == "refuses the documented":
            return self.answer(422, {"code": "invalid", "detail": "`size`: expected another"})
        if self.lie != "accepts what is not documented" and not (is_size and size <= 9):
            return self.answer(422, {"code": "invalid"})
        if self.lie == "an undocumented status":
            return self.answer(409, {"code": "already"})
        if self.lie == "fails":
            return self.answer(500, {"code": "internal"})
        return self.answer(200, {} if self.lie == "a body of another shape" else {"size": 1})

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(lie):
    api = type("Liar", (Api,), {"lie": lie})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/openapi.json"
        finally:
            server.shutdown()
            thread.join()


def judged(lie):
    """Whether the check passes, and what it said."""
    said = []

    def quietly(*words, **options):
        done = subprocess_run(*words, **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said.append(done.stdout)
        return done

    subprocess_run = subprocess.run
    with served(lie) as url, mock.patch.object(run.subprocess, "run", quietly):
        good = run.check(url, {"Authorization": f"Bearer {TOKEN}"}, ["--seed", "1", "-n", "10"])
    return good, said[0]


class Bites(unittest.TestCase):
    def caught(self, lie, words):
        good, said = judged(lie)
        self.assertFalse(good, said)
        self.assertIn(words, said)

    def test_a_true_api_passes(self):
        good, said = judged(None)
        self.assertTrue(good, said)

    def test_an_undocumented_status_is_caught(self):
        self.caught("an undocumented status", "Undocumented status code")

    def test_a_body_against_its_schema_is_caught(self):
        self.caught("a body of another shape", "Response violates schema")

    def test_a_failure_of_the_server_is_caught(self):
        self.caught("fails", "Server error")

    def test_accepting_what_is_not_documented_is_caught(self):
        self.caught("accepts what is not documented", "Schema-violating request accepted")

    def test_refusing_the_documented_shape_is_caught(self):
        self.caught("refuses the documented", "is refused for its shape")


if __name__ == "__main__":
    unittest.main()
