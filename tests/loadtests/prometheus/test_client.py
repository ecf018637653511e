"""Servers that refuse, that are no Prometheus, or whose certificate nobody knows."""

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from loadtests import PrometheusServer
from loadtests.foundation.errors import InputError, RunError
from loadtests.prometheus.client import query_range, raw_series, server_time
from support.tools import needed_tool

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

TIME = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [7, "7.5"]}]}}
NATIVE = {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "histograms": []}]}}
ERROR = {"status": "error", "errorType": "x", "error": "query timed out in expression evaluation"}
ANSWERS = {
    "/ok": (200, json.dumps(TIME)),
    "/html": (200, "<html>Sign in</html>"),
    "/other": (200, '{"data": 5}'),
    "/list": (200, '{"data": {"result": [5]}}'),
    "/native": (200, json.dumps(NATIVE)),
    "/missing": (404, "not found"),
    "/slow": (503, json.dumps(ERROR)),
    "/bad": (400, json.dumps(ERROR)),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        prefix = "/" + self.path.split("/")[1]
        status, body = ANSWERS.get(prefix, (500, ""))
        if prefix == "/locked":
            status, body = (200, json.dumps(TIME)) if self.headers["Authorization"] == "Bearer open" else (401, "")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextmanager
def serving(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def url():
    with serving() as address:
        yield address


def test_a_path_prefix_is_kept(url):
    assert server_time(PrometheusServer(f"{url}/ok/")) == 7.5


@pytest.mark.parametrize("prefix", ["/html", "/other", "/list", "/missing"])
def test_what_is_no_prometheus_is_said_to_be_none(url, prefix):
    with pytest.raises(RunError, match=f"There is no Prometheus at {url}{prefix}"):
        server_time(PrometheusServer(url + prefix))


def test_the_server_s_own_words_are_passed_on(url):
    with pytest.raises(RunError, match="503 to 'up': query timed out in expression"):
        query_range(PrometheusServer(f"{url}/slow"), "up", 0.0, 10.0, 1.0)
    with pytest.raises(InputError, match=r"does not accept the query 'up.*timed out"):
        raw_series(PrometheusServer(f"{url}/bad"), "up", 0.0, 10.0)


def test_native_histograms_are_refused_by_name(url):
    with pytest.raises(InputError, match="'h' gives native histograms"):
        raw_series(PrometheusServer(f"{url}/native"), "h", 0.0, 10.0)


def test_the_header_s_value_comes_from_the_environment(url, monkeypatch):
    with pytest.raises(RunError, match=r"401.*env:VAR"):
        server_time(PrometheusServer(f"{url}/locked"))
    monkeypatch.setenv("PROM_AUTH", "Bearer open")
    assert server_time(PrometheusServer(f"{url}/locked", "Authorization: env:PROM_AUTH")) == 7.5
    monkeypatch.setenv("PROM_AUTH", "Bearer wrong-secret")
    with pytest.raises(RunError) as error:
        server_time(PrometheusServer(f"{url}/locked", "Authorization: env:PROM_AUTH"))
    assert "wrong-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Authorization: Bearer abc", "would be kept in clear"),
        ("Authorization: env:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE.* is not set"),
        ("Authorization", "NAME: env:VAR"),
        (": env:X", "header name .* is not allowed"),
    ],
)
def test_headers_in_another_form_are_refused(header, said):
    with pytest.raises(InputError, match=said) as error:
        PrometheusServer("http://127.0.0.1:9", header)
    assert "abc" not in str(error.value)


@pytest.mark.parametrize("address", ["127.0.0.1:9090", "ftp://x", "http://user:word@127.0.0.1:9090", "http://"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(InputError, match="host") as error:
        PrometheusServer(address)
    assert "word@" not in str(error.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = [
        needed_tool("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"),
        "-out", str(folder / "cert.pem"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return folder / "cert.pem", folder / "key.pem"


def test_a_certificate_is_checked_unless_its_authority_is_named_or_the_check_is_off(certificate):
    authority, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, key)
    with serving(context) as address:
        with pytest.raises(RunError, match="certificate"):
            server_time(PrometheusServer(f"{address}/ok"))
        assert server_time(PrometheusServer(f"{address}/ok", verify=str(authority))) == 7.5
        with pytest.warns(match="Unverified HTTPS request"):
            assert server_time(PrometheusServer(f"{address}/ok", verify=False)) == 7.5
