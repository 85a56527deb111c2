# SPDX-License-Identifier: GPL-3.0-or-later
"""A stock Dovecot over an archive, with the configuration that is shipped: what the tests of IMAP
and the bench share.

Users get accounts that exist only in here: the program runs itself again in a mount namespace of
its own, in which other files lie over /etc/passwd and /etc/group.
"""
import imaplib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from harness import EMLFS, Site, mounts_at, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(HERE, "..", "..", "tools", "doc")
PEOPLE = {"anna": 60001, "bert": 60002, "carl": 60003, "dora": 60004, "emil": 60005}
PASSWORDS = {name: f"Correct-horse {uid % 100} stable" for name, uid in PEOPLE.items()}
ALONE = "EMLFS_IMAP_ALONE"

OWN = """
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
info_log_path = {top}/info.log
instance_name = emlfs-test
listen = 127.0.0.1
ssl = no
default_vsz_limit = 0
import_environment = $import_environment ASAN_OPTIONS LSAN_OPTIONS
disable_plaintext_auth = no
{replaced}
auth_failure_delay = 0
mailbox_idle_check_interval = 1 secs
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  chroot =
}}
service stats {{
  client_limit = 100
}}
"""


def skip_unless_dovecot():
    for program in ("dovecot", "doveadm", "mbsync", "curl", "unshare"):
        if not shutil.which(program):
            print(f"needs {program}: skipped")
            sys.exit(77)


def let_go():
    """Mounts of other tests came along: held here, they would outlive their umount there."""
    with open("/proc/self/mountinfo") as stream:
        rows = [line.split() for line in stream]
    for row in rows:
        if "fuse.emlfs" in row[row.index("-") + 1]:
            subprocess.run(["umount", "-l", row[4]], check=False)


def run_alone():
    """Go on in a mount namespace with accounts of its own."""
    if os.environ.get(ALONE) != str(os.getppid()):
        os.environ[ALONE] = str(os.getpid())
        code = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable]
                              + sys.argv, check=False).returncode
        sys.exit(code)
    let_go()
    home = tempfile.mkdtemp(prefix="emlfs-accounts-")
    os.chmod(home, 0o755)
    passwd = "".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, uid in PEOPLE.items())
    group = "".join(f"{name}:x:{uid}:\n" for name, uid in PEOPLE.items())
    for path, more in (("/etc/passwd", passwd), ("/etc/group", group)):
        over = os.path.join(home, os.path.basename(path))
        with open(path) as stream:
            text = stream.read()
        with open(over, "w") as out:
            out.write(text + more)
        os.chmod(over, 0o644)
        subprocess.run(["mount", "--bind", over, path], check=True)
    return home


class ImapSite(Site):
    """An archive, mounted with layout=maildir (and as a tree), and Dovecot on a port of its own."""

    def __init__(self):
        super().__init__()
        self.dovecot = None
        self.tree = os.path.join(self.top, "tree")
        os.mkdir(self.tree)
        self.state = os.path.join(self.top, "imap")
        self.helper = os.path.join(self.top, "checkpassword")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def users(self):
        """The archive with everybody in it, who may log in. Nobody of them administers: each
        message that an administrator opens is recorded, durably, before it is shown."""
        self.emlfs("init", self.archive, "--user", "keeper", "--unix-account", "nobody")
        for name in PEOPLE:
            self.emlfs("user", "add", "-a", self.archive, name)
        for name in PEOPLE:
            secret = os.path.join(self.top, "secret")
            with open(secret, "w") as out:
                out.write(PASSWORDS[name] + "\n")
            self.emlfs("user", "password", "-a", self.archive, name, "--password-file", secret)
            os.unlink(secret)

    def configure(self, more=""):
        """As shipped, with the paths of here, without TLS; more: further settings."""
        if not os.path.lexists(self.helper):
            os.symlink(os.path.realpath(shutil.which(EMLFS)), self.helper)
        with open(os.path.join(SHIPPED, "dovecot.conf")) as stream:
            text = stream.read()
        for shipped, here in (("/usr/libexec/emlfs/checkpassword", self.helper),
                              ("/etc/dovecot/emlfs-acl", os.path.join(self.top, "emlfs-acl")),
                              ("/var/lib/emlfs-imap", self.state), ("/mnt/mail-imap", self.mnt),
                              ("/srv/mail", self.archive)):
            assert shipped in text, shipped
            text = text.replace(shipped, here)
        lines = [line for line in text.splitlines() if not line.startswith("ssl")]
        self.config = os.path.join(self.top, "dovecot.conf")
        with open(self.config, "w") as out:
            out.write("\n".join(lines) + OWN.format(top=self.top, port=self.port, replaced=more))
        shutil.copy(os.path.join(SHIPPED, "dovecot-acl"), os.path.join(self.top, "emlfs-acl"))
        for name, uid in PEOPLE.items():
            os.makedirs(os.path.join(self.state, name), 0o700, exist_ok=True)
            os.chown(os.path.join(self.state, name), uid, uid)

    def serve(self):
        self.dovecot = subprocess.Popen(["dovecot", "-F", "-c", self.config],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if not wait_until(self.answers, 20):
            raise AssertionError("dovecot does not start: " + self.log())

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as stream:
                return stream.recv(4) == b"* OK"
        except OSError:
            return False

    def log(self):
        """What Dovecot complained of: nothing but errors and warnings stand here."""
        try:
            with open(os.path.join(self.top, "dovecot.log")) as stream:
                return stream.read()
        except FileNotFoundError:
            return ""

    def login(self, user, password=None):
        client = imaplib.IMAP4("127.0.0.1", self.port)
        try:
            client.login(user, password or PASSWORDS[user])
        except BaseException:
            client.shutdown()
            raise
        return client

    def stop(self):
        if not self.dovecot:
            return
        self.dovecot.send_signal(signal.SIGTERM)
        try:
            self.dovecot.wait(20)
        except subprocess.TimeoutExpired:
            self.dovecot.kill()
            self.dovecot.wait()
        self.dovecot.stderr.close()
        self.dovecot = None

    def mount_tree(self):
        """The archive in its ordinary layout, too."""
        self.emlfs("mount", self.archive, self.tree)

    def clean(self):
        self.stop()
        if mounts_at(self.tree):
            subprocess.run(["umount", "-l", self.tree], check=False)
        super().clean()


