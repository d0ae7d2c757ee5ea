"""What somebody sees of the site in machine.py from each of its addresses, as JSON. Runs in
there."""

import http.client
import json
import ssl

NAME = "notes.example.org"
trust = ssl.create_default_context(cafile=f"/etc/letsencrypt/live/{NAME}/fullchain.pem")


def ask(method, path, source="::1", port=443):
    connection = http.client.HTTPConnection("::1", port, timeout=180, source_address=(source, 0))
    connection.connect()
    if port == 443:
        connection.sock = trust.wrap_socket(connection.sock, server_hostname=NAME)
    connection.request(method, path, headers={"Host": NAME})
    response = connection.getresponse()
    response.read()
    return response


def statuses(source, count):
    return [ask("POST", "/open/", source).status for _ in range(count)]


plain = ask("GET", "/open/?x=y", port=80)
page = ask("GET", "/")
print(
    json.dumps(
        {
            "plain": [plain.status, plain.headers["Location"]],
            "page": [page.status, page.headers["Strict-Transport-Security"]],
            "challenge": ask("GET", "/.well-known/acme-challenge/none", port=80).status,
            "one": statuses("2001:db8:0:1::1", 40),
            "neighbour": statuses("2001:db8:0:1::2", 1),
            "stranger": statuses("2001:db8:0:2::1", 1),
        }
    )
)
