"""A machine of its own for what deploy/configure writes, without being root: namespaces in
which this user is, with an /etc, /opt, /run, /var/lib and /var/log that die with them, and a network
of nothing but a loopback, so that ports 80 and 443 are free."""

import subprocess
import sys
from pathlib import Path

from stack import WEB, dying_with_us, environment

SETUP = """
set -e
mount -t tmpfs tmpfs /mnt
cp -rL /etc/nginx /etc/ssl/openssl.cnf /mnt
cp -r /etc/alternatives /mnt
for directory in /etc /opt /run /var/lib /var/log; do mount -t tmpfs tmpfs $directory; done
cp -r /mnt/nginx /mnt/alternatives /etc
ln -sf /etc/nginx/sites-available/default /etc/nginx/sites-enabled/default
mkdir /etc/ssl && cp /mnt/openssl.cnf /etc/ssl
mkdir -p /opt/burn_note /var/lib/nginx /var/log/nginx /etc/systemd/system
ln -s "$1" /opt/burn_note/web
ln -s "$2" /opt/burn_note/venv
for user in root www-data burn_note_owner burn_note_web burn_note_keeper; do
    echo "$user:x:0:0::/:/bin/sh" >>/etc/passwd
    echo "$user:x:0:" >>/etc/group
done
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
        """Runs a shell script; returns what it said."""
        run = subprocess.run(
            self.inside("sh", "-euc", script),
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
