# SPDX-License-Identifier: GPL-3.0-or-later
"""A Samba server of its own on the loopback interface, and a client that does what Explorer does.

The server has its configuration, passwords and state below one directory, and a free port; its
shares are the shipped tools/doc/smb.conf with other paths. People log in as alice, bob and carol;
a user name map makes them the accounts that the archive users are bound to. Exit code 77: cannot
run here.
"""
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from typing import NamedTuple

from harness import ACCOUNTS, wait_until

try:
    from impacket import nt_errors, smb3
    from impacket.smbconnection import SMBConnection
except ImportError:
    smb3 = None

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "doc",
                       "smb.conf")
PASSWORD = "pw-of-the-test"
SMBD = shutil.which("smbd") or "/usr/sbin/smbd"

# [MS-SMB2] and [MS-FSCC]: access masks, dispositions, options, information classes
READ = 0x00120089
WRITE = 0x0012019F
DELETE = 0x00110080
WRITE_ATTRIBUTES = 0x00100180
SHARE_ALL = 7
OPEN, CREATE, OPEN_IF, OVERWRITE_IF = 1, 2, 3, 5
FOLDER, FILE = 0x01, 0x40
READONLY, NORMAL, ARCHIVE = 0x01, 0x80, 0x20
ID_BOTH_DIRECTORY = 0x25
BASIC, RENAME, DISPOSITION, END_OF_FILE, DISPOSITION_EX = 4, 10, 13, 20, 64


def skip_unless_possible():
    for program in (SMBD, "smbclient", "pdbedit", "testparm"):
        if not shutil.which(program):
            print(f"{os.path.basename(program)} is not installed")
            sys.exit(77)
    if smb3 is None:
        print("python3-impacket is not installed")
        sys.exit(77)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def shares_of(mnt):
    """The shipped shares over mnt, with those that are switched off by a semicolon."""
    with open(SHIPPED, encoding="utf-8") as stream:
        text = re.sub(r"(?m)^;", "", stream.read())
    assert text.count("/mnt/mail") == 2
    return text.replace("/mnt/mail", mnt)


GLOBAL = """[global]
   server role = standalone server
   interfaces = lo
   bind interfaces only = yes
   smb ports = {port}
   private dir = {top}/private
   lock directory = {top}/state
   state directory = {top}/state
   cache directory = {top}/state
   pid directory = {top}/state
   ncalrpc dir = {top}/rpc
   log file = {top}/log/%m
   log level = 1
   load printers = no
   disable spoolss = yes
   passdb backend = tdbsam
   username map = {top}/users
"""


def digest(data):
    return hashlib.sha256(data).hexdigest()


def basic_info(attributes, when=0):
    """FileBasicInformation; 0 leaves a time as it is."""
    filetime = (when + 11644473600) * 10000000 if when else 0
    return struct.pack("<QQQQII", filetime, filetime, filetime, filetime, attributes, 0)


class Refused(Exception):
    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Row(NamedTuple):
    name: str
    size: int
    attributes: int
    short: str


def rows_of(data):
    """FileIdBothDirectoryInformation, what Explorer asks for."""
    rows, at = [], 0
    while True:
        step, = struct.unpack_from("<I", data, at)
        size, = struct.unpack_from("<Q", data, at + 40)
        attributes, length = struct.unpack_from("<II", data, at + 56)
        short = data[at + 70:at + 70 + data[at + 68]].decode("utf-16le")
        rows.append(Row(data[at + 104:at + 104 + length].decode("utf-16le"), size, attributes,
                        short))
        if step == 0:
            return rows
        at += step


class Smbd:
    """smbd over the mount of site, and who may log in."""

    def __init__(self, site):
        self.top, self.port = os.path.join(site.top, "smb"), free_port()
        self.config = os.path.join(self.top, "smb.conf")
        self.process = None
        for name in ("", "private", "state", "rpc", "log"):
            os.makedirs(os.path.join(self.top, name))
        self.write_config(shares_of(site.mnt))
        self.accounts = {**ACCOUNTS, "carol": "games"}
        with open(os.path.join(self.top, "users"), "w", encoding="ascii") as out:
            for person in ("alice", "bob", "carol"):
                out.write(f"{self.accounts[person]} = {person}\n")
        for person in ("alice", "bob", "carol"):
            self.run("pdbedit", "-a", "-t", "-u", self.accounts[person],
                     text=PASSWORD + "\n" + PASSWORD + "\n")

    def write_config(self, shares):
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(GLOBAL.format(port=self.port, top=self.top) + shares)

    def run(self, program, *argv, text="", check=True):
        done = subprocess.run([program, "-s", self.config, *argv], input=text, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"{program} {argv}: {done.stdout}{done.stderr}")
        return done

    def start(self):
        with open(os.path.join(self.top, "log", "smbd"), "w", encoding="utf-8") as out:
            self.process = subprocess.Popen(
                [SMBD, "--foreground", "--debug-stdout", "-s", self.config],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if not wait_until(self.listens, 20):
            raise AssertionError("smbd does not listen")

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
            self.process = None

    def smbclient(self, person, share, commands):
        """Output and error text of smbclient's commands."""
        done = self.run("smbclient", "-p", str(self.port), f"//127.0.0.1/{share}", "-U",
                        f"{person}%{PASSWORD}", "-m", "SMB3", "-c", commands, check=False)
        return done.stdout + done.stderr


def status_of(error):
    return nt_errors.ERROR_MESSAGES.get(error.get_error_code(), (hex(error.get_error_code()),))[0]


class Explorer:
    """One connection. What is refused raises Refused with the name of the NT status."""

    def __init__(self, smbd, person, share):
        self.connection = SMBConnection("127.0.0.1", "127.0.0.1", sess_port=smbd.port, timeout=120)
        self.connection.login(person, PASSWORD)
        self.server, self.share = self.connection.getSMBServer(), share
        self.tree = self.call(self.server.connectTree, share)

    def close(self):
        self.connection.close()

    @staticmethod
    def call(function, *argv, **options):
        try:
            return function(*argv, **options)
        except smb3.SessionError as error:
            raise Refused(status_of(error)) from None

    def open(self, path, access=READ, disposition=OPEN, options=FILE):
        return self.call(self.create, path, access, disposition, options)

    def create(self, path, access, disposition, options):
        """A handle. The library's own function tidies names, and miscounts some."""
        name = path.encode("utf-16le")
        body = smb3.SMB2Create()
        body["SecurityFlags"], body["RequestedOplockLevel"] = 0, 0
        body["ImpersonationLevel"], body["DesiredAccess"] = 2, access
        body["FileAttributes"], body["ShareAccess"] = NORMAL, SHARE_ALL
        body["CreateDisposition"], body["CreateOptions"] = disposition, options
        body["NameLength"], body["Buffer"] = len(name), name or b"\0"
        body["CreateContextsOffset"], body["CreateContextsLength"] = 0, 0
        packet = self.server.SMB_PACKET()
        packet["Command"], packet["TreeID"], packet["Data"] = smb3.SMB2_CREATE, self.tree, body
        answer = self.server.recvSMB(self.server.sendSMB(packet))
        answer.isValidAnswer(0)
        handle = smb3.SMB2Create_Response(answer["Data"])["FileID"]
        handle = handle.getData()
        self.server._Session["OpenTable"][handle] = {"FileName": handle}
        self.server.GlobalFileTable[handle] = path
        return handle

    def shut(self, handle):
        self.call(self.server.close, self.tree, handle)

    def set(self, handle, kind, data):
        self.call(self.server.setInfo, self.tree, handle, data, fileInfoClass=kind)

    def set_security(self, handle, descriptor):
        """Its access list."""
        self.call(self.server.setInfo, self.tree, handle, descriptor, infoType=3, fileInfoClass=0,
                  additionalInformation=4)

    def share_flags(self):
        """Of the answer to connecting to the share again."""
        body = smb3.SMB2TreeConnect()
        body["Buffer"] = f"\\\\127.0.0.1\\{self.share}".encode("utf-16le")
        body["PathLength"] = len(body["Buffer"])
        packet = self.server.SMB_PACKET()
        packet["Command"], packet["Data"] = smb3.SMB2_TREE_CONNECT, body
        answer = self.server.recvSMB(self.server.sendSMB(packet))
        return smb3.SMB2TreeConnect_Response(answer["Data"])["ShareFlags"]

    def write(self, handle, data, offset):
        self.call(self.server.write, self.tree, handle, data, offset, len(data))

    def list(self, folder):
        """name → Row, without the two dots."""
        handle, rows = self.open(folder, options=FOLDER), []
        try:
            while True:
                rows += rows_of(self.call(self.server.queryDirectory, self.tree, handle, "*", 0,
                                          ID_BOTH_DIRECTORY, 65536))
        except Refused as refused:
            if refused.status != "STATUS_NO_MORE_FILES":
                raise
        finally:
            self.shut(handle)
        return {row.name: row for row in rows if row.name not in (".", "..")}

    def read(self, path):
        handle = self.open(path)
        try:
            data = b""
            while True:
                try:
                    data += self.call(self.server.read, self.tree, handle, len(data), 65536)
                except Refused as refused:
                    if refused.status == "STATUS_END_OF_FILE":
                        return data
                    raise
        finally:
            self.shut(handle)

    def delete(self, path, options=FILE):
        """(status of opening, of marking for deletion, of closing): Explorer looks at two."""
        try:
            handle = self.open(path, DELETE, options=options)
        except Refused as refused:
            return (refused.status, None, None)
        marked = self.status(self.set, handle, DISPOSITION, b"\x01")
        return ("ok", marked, self.status(self.shut, handle))

    def status(self, function, *argv):
        try:
            function(*argv)
            return "ok"
        except Refused as refused:
            return refused.status

    def rename(self, path, target, options=FILE):
        handle = self.open(path, DELETE, options=options)
        try:
            name = target.encode("utf-16le")
            self.set(handle, RENAME, struct.pack("<B7xQI", 0, 0, len(name)) + name)
        finally:
            self.shut(handle)

    def copy_in(self, path, data, when=1772355187):
        """As Explorer copies a file: where it stops, (step, status)."""
        found = self.status(lambda: self.shut(self.open(path)))
        if found != "STATUS_OBJECT_NAME_NOT_FOUND":
            return ("probe", found)
        steps = []
        handle = None
        try:
            steps.append("create")
            handle = self.open(path, WRITE | DELETE, CREATE)
            steps.append("size")
            self.set(handle, END_OF_FILE, struct.pack("<Q", len(data)))
            for offset in range(0, len(data), 65536):
                steps.append("write")
                self.write(handle, data[offset:offset + 65536], offset)
            steps.append("times")
            self.set(handle, BASIC, basic_info(ARCHIVE, when))
            steps.append("close")
            self.shut(handle)
            handle = None
            steps.append("again")
            again = self.open(path, WRITE_ATTRIBUTES)
            self.set(again, BASIC, basic_info(0, when))
            self.shut(again)
            return ("done", "ok")
        except Refused as refused:
            if handle is not None:
                self.status(self.shut, handle)
            return (steps[-1], refused.status)

