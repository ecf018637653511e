"""Headers, TLS, bodies and the preflight, against real HTTP and HTTPS servers on loopback."""

import socket
import subprocess
import sys

import pandas as pd
import pytest

import loadtests
from loadtests.foundation.distributions import Constant
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.server_access import Access, Header
from loadtests.load.plan import LoadPlan
from loadtests.preflight import preflight
from loadtests.runner import record
from support.tls_servers import certificate, serving

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

SECRET = "geheim-31415"  # noqa: S105 (no password of anything)


def plan(*requests, **changes):
    return LoadPlan((3,), 1.5, Constant(0.05), requests=requests or (("GET", "/", 1),), settle_s=0.2, **changes)


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    return {
        "server": certificate(folder, "server"),
        "elsewhere": certificate(folder, "elsewhere", alternative="DNS:elsewhere.example"),
        "client": certificate(folder, "client"),
    }


def token_wanted(request):
    return (200, {}) if request.headers.get("Authorization") == f"Bearer {SECRET}" else (401, {})


def test_a_test_over_tls_sends_headers_and_bodies_and_keeps_no_secret(pems, tmp_path, monkeypatch):
    monkeypatch.setenv("LOAD_TOKEN", f"Bearer {SECRET}")
    headers = (Header("Authorization", "env:LOAD_TOKEN"), Header("X-Team", "load"))
    load = plan(
        ("GET", "/a", 1),
        ("POST", "/b", 1, '{"n": 1}'),
        ("POST", "/c", 1, "plain"),
        ("POST", "/d", 1),
        access=Access(headers, ca=pems["server"][0]),
    )
    with serving(token_wanted, certificate=pems["server"]) as server:
        recording = record(server.host, load, tmp_path / "out")
    assert set(recording.requests["outcome"]) == {"served"}
    assert set(recording.requests["endpoint"]) == {"/a", "/b", "/c", "/d"}
    assert {path for _, path, _, _ in server.seen} == {"/a", "/b", "/c", "/d", "/ready", "/api/metrics"}
    assert {seen["Authorization"] for _, _, seen, _ in server.seen} == {f"Bearer {SECRET}"}
    assert {seen["X-Team"] for _, _, seen, _ in server.seen} == {"load"}
    sent = {
        (path, seen["Content-Type"].split(";")[0], body) for method, path, seen, body in server.seen if method == "POST"
    }
    assert sent == {
        ("/b", "application/json", '{"n": 1}'), ("/c", "text/plain", "plain"), ("/d", "application/json", "{}"),
    }  # fmt: skip
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert recording.manifest["plan"]["access"]["headers"][0] == "Authorization: env:LOAD_TOKEN"


def test_a_client_certificate_is_shown(pems, tmp_path):
    certificate_file, key = pems["client"]
    access = Access(ca=pems["server"][0], certificate=certificate_file, key=key)
    with serving(certificate=pems["server"], client_authority=certificate_file) as server:
        recording = record(server.host, plan(access=access), tmp_path / "out")
        with pytest.raises(RunError, match=r"wants a client certificate, give that with --cert FILE"):
            preflight(server.host, plan(access=Access(ca=pems["server"][0])))
    assert set(recording.requests["outcome"]) == {"served"}


def test_a_certificate_that_is_not_trusted_stops_the_test_before_it_begins(pems, tmp_path):
    with serving(certificate=pems["server"]) as server:
        with pytest.raises(
            RunError, match=r"not trusted \(self-signed certificate\); name the file .*--ca FILE.*--insecure"
        ):
            record(server.host, plan(), tmp_path / "out")
        assert server.seen == []
        assert not (tmp_path / "out").exists()


def test_an_unchecked_certificate_is_loaded_on_demand(pems, tmp_path):
    with serving(certificate=pems["elsewhere"]) as server:
        with pytest.raises(RunError, match="IP address mismatch"):
            preflight(server.host, plan(access=Access(ca=pems["elsewhere"][0])))
        recording = record(server.host, plan(access=Access(is_insecure=True)), tmp_path / "out")
    assert set(recording.requests["outcome"]) == {"served"}


def test_locust_itself_checks_certificates(pems, tmp_path):
    words = ["--headless", "--users", "2", "--run-time", "1s", "--think", "constant:50ms", "--journal", "journal.csv"]
    command = [sys.executable, "-m", "locust", "-f", f"{loadtests.__path__[0]}/locustfile.py", *words]
    with serving(certificate=pems["server"]) as server:
        subprocess.run(
            [*command, "--request", "GET /", "-H", server.host],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert server.seen == []
    assert set(pd.read_csv(tmp_path / "journal.csv")["outcome"]) == {"failed"}


def test_http_and_https_are_not_mixed_up(pems):
    with serving() as plain, pytest.raises(RunError, match="does not speak TLS; write http://"):
        preflight(plain.host.replace("http", "https"), plan())
    with (
        serving(certificate=pems["server"]) as secure,
        pytest.raises(RunError, match="check whether it wants https://"),
    ):
        preflight(secure.host.replace("https", "http"), plan())


ANSWERS = {
    "/401": 401, "/403": 403, "/404": 404, "/405": 405, "/302": 302, "/503": 503, "/429": 429, "/500": 500, "/422": 422,
}  # fmt: skip


def by_path(request):
    return ANSWERS.get(request.path, 200), {"Location": "https://other.example/x"} if request.path == "/302" else {}


def test_what_would_spoil_the_test_stops_it_with_all_reasons_in_one_error():
    wrong = plan(*(("GET", path, 1) for path in ("/401", "/403", "/404", "/405", "/302", "/503")))
    with serving(by_path) as server, pytest.raises(InputError) as caught:
        preflight(server.host, wrong)
    said = str(caught.value)
    for status, why in (
        (401, "credentials: give them as a header"), (403, "may not"), (404, "no such path"), (405, "method"),
        (302, "a redirect to 'https://other.example/x'"),
    ):  # fmt: skip
        assert f"GET /{status} is answered {status} ({why}" in said or why in said
    assert "503" not in said
    assert len(server.seen) == 6


def test_what_may_be_meant_is_said_and_does_not_stop_the_test():
    odd = plan(*(("GET", path, 1) for path in ("/503", "/429", "/500", "/422", "/")))
    with serving(by_path) as server:
        findings = preflight(server.host, odd)
    assert [(item.code, item.severity) for item in findings] == [
        ("preflight-unavailable", "info"), ("preflight-rate-limited", "warning"),
        ("preflight-server-error", "warning"), ("preflight-client-error", "warning"),
    ]  # fmt: skip
    assert [item.numbers["status"] for item in findings] == [503, 429, 500, 422]


def test_a_missing_variable_stops_the_test_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("LOAD_TOKEN", raising=False)
    access = Access((Header("Authorization", "env:LOAD_TOKEN"),))
    with serving() as server, pytest.raises(InputError, match=r"LOAD_TOKEN \(header Authorization\) is not set"):
        preflight(server.host, plan(access=access))
    assert server.seen == []


def test_a_silent_server_is_named():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(RunError, match=r"did not answer GET / within 0\.3 s"),
    ):
        preflight(f"http://127.0.0.1:{silent.getsockname()[1]}", plan(request_timeout_s=0.3))
