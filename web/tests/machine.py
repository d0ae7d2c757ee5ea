"""A machine of its own for README.md's steps, without being root: namespaces in which this
user is, with an /etc, /opt, /run, /var/lib and /var/log that die with them, and a network
of nothing but a loopback, so that ports 80 and 443 are free."""

import re
import subprocess
import sys
from pathlib import Path

from stack import WEB, dying_with_us, environment

SETUP = """
set -e
mount -t tmpfs tmpfs /mnt
cp -rL /etc/nginx /etc/ssl/openssl.cnf /mnt
for directory in /etc /opt /run /var/lib /var/log; do mount -t tmpfs tmpfs $directory; done
cp -r /mnt/nginx /etc
mkdir /etc/ssl && cp /mnt/openssl.cnf /etc/ssl
mkdir -p /opt/burn_note /opt/bin /var/lib/nginx /var/log/nginx /etc/systemd/system
ln -s "$1" /opt/burn_note/web
ln -s "$2" /opt/burn_note/venv
for user in root www-data burn_note_owner burn_note_web burn_note_keeper; do
    echo "$user:x:0:0::/:/bin/sh" >>/etc/passwd
    echo "$user:x:0:" >>/etc/group
done
printf '#!/bin/sh\\nexec "$@"\\n' >/opt/bin/sudo
chmod +x /opt/bin/sudo
live=/etc/letsencrypt/live/notes.example.org
mkdir -p $live
openssl req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
    -subj /CN=notes.example.org -addext subjectAltName=DNS:notes.example.org \\
    -keyout $live/privkey.pem -out $live/fullchain.pem 2>/dev/null
ip link set lo up
for address in 2001:db8:0:1::1 2001:db8:0:1::2 2001:db8:0:2::1; do
    ip address add $address/128 dev lo nodad
done
echo ready
exec cat
"""

# Steps that are taken elsewhere, or that only a real machine can take
ELSEWHERE = {
    r"sudo apt (update|install .*)": "tools/deps",
    r"sudo git (clone|pull)\b.*": "the repository is here",
    r"sudo make install": "tools/test, into a stage",
    r"sudo (python3 -m venv|venv/bin/pip install) .*": "tools/venv",
    r"for user in .*adduser.*": "SETUP",
    r'sudo -u postgres psql -c "ALTER SYSTEM .*': "tools/test",
    r"sudo -u postgres psql -d \w+ -f sql/(roles|grants)\.sql": "stack.py",
    r"sudoedit /etc/burn_note/web\.env": "the tests",
    r"sudo systemctl .*": "the tests, by the units' own command lines",
    r"sudo certbot .*": "SETUP",
}


def steps():
    """README.md's commands, from the first step on the machine to the site's."""
    text = (WEB / "README.md").read_text()
    text = text[text.index("## Put it on the internet") : text.index("### What you should know")]
    return [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]


def available():
    return subprocess.run(["unshare", "-rmn", "true"], capture_output=True).returncode == 0


class Machine:
    def __enter__(self):
        self.holder = subprocess.Popen(
            dying_with_us("unshare", "-rmn", "sh", "-c", SETUP, "setup", WEB, Path(sys.prefix)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(self.holder.stderr.read())
        self.children = []
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.terminate()
            child.wait()
        self.holder.communicate()

    def inside(self, *command):
        enter = ["nsenter", "-t", self.holder.pid, "-U", "-m", "-n", "--preserve-credentials"]
        return [str(word) for word in [*enter, *command]]

    def run(self, script):
        """Runs a shell script with sudo, which does nothing here; returns what it said."""
        run = subprocess.run(
            self.inside("sh", "-euc", "PATH=/opt/bin:$PATH\n" + script),
            env=environment("burn_note_web"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.returncode == 0, run.stdout
        return run.stdout

    def start(self, script):
        self.children.append(
            subprocess.Popen(
                self.inside("setpriv", "--pdeathsig", "TERM", "sh", "-euc", script),
                env=environment("burn_note_web"),
            )
        )
