"""A small HTTPS server on loopback with certificates that OpenSSL makes, and what it saw."""

import http.server
import ssl
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

from support.tools import needed_tool


def certificate(folder: Path, name: str, *, alternative: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A self-signed certificate, which is its own authority, and its key."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    who = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}")
    command = [needed_tool("openssl", "openssl"), "req", "-x509", *kind, *who, "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made, key


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body.decode()))
        status, headers = self.server.rule(self)
        content = b'{"ok": true}'
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 (names that http.server calls)

    def log_message(self, *_arguments):
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that distrust the certificate break off; that is what the tests are about."""


def always_ok(_request):
    return 200, {}


@contextmanager
def serving(rule=always_ok, *, certificate=None, client_authority=None):
    """Run a server in a thread; yields it with `host` and `seen` (method, path, headers, body)."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.rule, server.seen = rule, []
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if client_authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_authority)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    server.host = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
