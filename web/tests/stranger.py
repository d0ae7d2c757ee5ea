"""What somebody sees of the site in machine.py from each of its addresses, as JSON. Runs in
there."""

import http.client
import json
import socket
import ssl
import warnings

NAME = "notes.example.org"
# an old protocol is asked for on purpose
warnings.simplefilter("ignore", DeprecationWarning)
trust = ssl.create_default_context(cafile=f"/etc/letsencrypt/live/{NAME}/fullchain.pem")


def ask(method, path, source="::1", port=443, host=NAME):
    connection = http.client.HTTPConnection("::1", port, timeout=180, source_address=(source, 0))
    connection.connect()
    if port == 443:
        connection.sock = trust.wrap_socket(connection.sock, server_hostname=NAME)
    connection.request(method, path, headers={"Host": host})
    response = connection.getresponse()
    response.read()
    return response


def refused(host, port):
    """Whether who asks for `host` is left without an answer."""
    try:
        return ask("GET", "/", port=port, host=host).status
    except http.client.RemoteDisconnected:
        return "closed"


def said_to(port, request):
    """What comes back for these bytes, at first."""
    with socket.create_connection(("::1", port), 180) as connection:
        connection.sendall(request)
        try:
            return connection.recv(65536).decode()
        except ConnectionResetError:
            return ""


def handshake(name, **options):
    """Of TLS, with any certificate: what was agreed on, or why not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    # else OpenSSL itself would refuse an old protocol
    context.set_ciphers("ALL:@SECLEVEL=0")
    for option, value in options.items():
        setattr(context, option, value)
    try:
        with socket.create_connection(("::1", 443), 180) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.selected_alpn_protocol()
    except ssl.SSLError as error:
        return error.reason


def statuses(source, count):
    return [ask("POST", "/open/", source).status for _ in range(count)]


plain = ask("GET", "/open/?x=y", port=80)
page = ask("GET", "/")
print(
    json.dumps(
        {
            "plain": [plain.status, plain.headers["Location"], plain.headers["Server"]],
            "other names": [
                refused(host, port) for port in (80, 443) for host in ("evil.example", "[::1]", "localhost")
            ],
            "nonsense": [
                said_to(port, request)
                for port in (80, 443)
                for request in (
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"GET /\r\n",
                    b"nonsense\r\n\r\n",
                    b"TRACE / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: evil.example\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: x\r\n\r\n",
                    b"GET / HTTP/3.0\r\nHost: evil.example\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                )
            ],
            "handshakes": [handshake(name) for name in (NAME, "evil.example", None)],
            "old protocol": handshake(NAME, maximum_version=ssl.TLSVersion.TLSv1_1),
            "page": [page.status, page.headers["Strict-Transport-Security"]],
            "challenge": ask("GET", "/.well-known/acme-challenge/none", port=80).status,
            "one": statuses("2001:db8:0:1::1", 40),
            "neighbour": statuses("2001:db8:0:1::2", 1),
            "stranger": statuses("2001:db8:0:2::1", 1),
        }
    )
)
