"""A machine of its own with this one's programs, systemd and all, for what needs root: see
test_update.py. What it writes stays in memory; it has no network but a loopback, and dies
with this process, however that ends."""

import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

from stack import WEB

SYSTEMD = "/lib/systemd/systemd"
CACHE = Path("/var/cache/burn_note")
NAME = "notes.example.org"

SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
cd /mnt
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for directory in run dev etc/systemd/system etc/postgresql var/lib/postgresql var/log; do
    mount -t tmpfs -o mode=755 tmpfs $directory
done
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm var/log/nginx var/log/postgresql
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
mount --bind "$3" srv
ln -s /proc/self/fd dev/fd
: >etc/machine-id
chown postgres: var/log/postgresql var/lib/postgresql etc/postgresql
printf '[global]\\nno-index = yes\\nfind-links = %s\\n' "$1" >etc/pip.conf
cat >usr/local/bin/sudo <<'END'
#!/bin/bash
[ "$1" != -u ] || exec runuser -u "$2" -- "${@:3}"
exec "$@"
END
chmod +x usr/local/bin/sudo
ip link set lo up
hostname box
pivot_root . mnt
umount -l /mnt
# whoever ends this process ends all that runs in here
exec env -i container=unshare PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    LANG=C.UTF-8 "$2" --system --unit=basic.target --log-target=journal
"""

CERTIFICATE = f"""
live=/etc/letsencrypt/live/{NAME}
mkdir -p $live
openssl req -x509 -nodes -days 1 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \\
    -subj /CN={NAME} -addext subjectAltName=DNS:{NAME} \\
    -keyout $live/privkey.pem -out $live/fullchain.pem 2>/dev/null
"""


def wheels():
    """What web/requirements.txt pins, fetched once."""
    pinned = WEB / "requirements.txt"
    kept = CACHE / f"wheels-{sha256(pinned.read_bytes()).hexdigest()[:16]}"
    if not kept.exists():
        new = kept.with_suffix(".new")
        command = ["pip", "download", "-q", "--require-hashes", "--only-binary", ":all:"]
        subprocess.run([sys.executable, "-m", *command, "-r", pinned, "-d", new], check=True)
        new.rename(kept)
    return kept


class Box:
    """`directory` is /srv in there; /tmp is emptied."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        # unshare ignores what is gentler
        command = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "-mpnuiC", "--fork", "--kill-child"]
        command += ["bash", "-c", SETUP, "setup", wheels(), SYSTEMD, self.directory]
        self.holder = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.children = []
        deadline = time.monotonic() + 180
        while self.holder.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            if self.ready():
                return self
        self.holder.kill()
        raise RuntimeError(self.holder.communicate()[0])

    def __exit__(self, *_):
        for child in self.children:
            child.terminate()
            child.wait()
        self.holder.kill()
        self.holder.wait()

    def ready(self):
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text()
        if not children:
            return False
        self.first = children.split()[0]
        said = subprocess.run(
            self.inside("systemctl", "is-system-running"), capture_output=True, text=True
        ).stdout
        return said.strip() in ("running", "degraded")

    def inside(self, *command):
        enter = ["nsenter", "-t", self.first, "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w"]
        environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8"]
        environment += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        return [str(word) for word in [*enter, *environment, *command]]

    def run(self, script):
        """Runs a shell script; returns what it said."""
        run = subprocess.run(
            self.inside("bash", "-euc", script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.returncode == 0, run.stdout
        return run.stdout

    def start(self, *command):
        child = subprocess.Popen(
            self.inside(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.children.append(child)
        return child
