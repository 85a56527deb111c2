# SPDX-License-Identifier: GPL-3.0-or-later
"""What every call on every kind of object answers, by the kind of caller.

Written by hand from the rules of the file system, never from the code. A letter is an exact errno:

  -  0    A EACCES   N ENOENT   P EPERM   R EROFS   D ENOTDIR   I EISDIR   E EEXIST   T ENOTEMPTY
  V EINVAL   *  a call that would change the archive: not tried here

The kernel decides first: by the mode bits that the mount shows (A), by ownership for chmod, chown,
utimensat and hard links (P), by type (D, I) and by a name that is taken (E). Then the daemon: what
may not be seen (N; A for root), what takes no changes (R), the missing right (A), and last what
nobody may (P).
"""

# The columns of a row; who shares one must not be told apart.
MAIL = (("alice",), ("member", "no_export"), ("writer", "no_delete"), ("deleter",),
        ("reader", "access", "auditor"),
        ("bob", "stranger", "no_login", "admin", "late", "own_read", "own_write"), ("root",))
# Holds are there for administrators and auditors alone, .emlfs for everybody.
OFFICES = (("alice", "member", "writer", "deleter", "reader", "bob", "stranger", "no_login"),
           ("admin",), ("access",), ("auditor",), ("late",), ("root",))

#               alice member writer deleter reader stranger root
SEALED = {
    "open w|open trunc|truncate": "AAAAANA",  # shown as 0444
    "open excl|mkdir|symlink|mknod|link over": "EEEEENA",
    "rmdir": "DDDDDNA",
    "chmod|chown|utimens|link": "PPPPPNA",
    "chmod same|chown same|utimens same": "-PPPPNA",
    "setxattr": "AAAAANA",
    "rename": "PPPAANA",  # a message keeps its name
    "rename over": "EEEAANA",
}
KEPT = SEALED | {"unlink": "PPAPANA", "move": "***AANA", "exchange": "VVVVVNA"}
HELD = SEALED | {"unlink": "PPAPANA", "move": "PPPAANA", "exchange": "VVVVVNA"}
FREE = KEPT | {
    "open w|open trunc|truncate|setxattr": "PAAAANA",  # 0644: it may go, but not change
    "unlink": "**A*ANA",
}
PROTECTED = SEALED | {
    "unlink|rename|rename over|move": "RRRRRNA",
    "chmod|utimens": "RPPPPNA",
    "chown": "PPPPPNA",
    "link": "RPPPPNA",
}
# A message below a search or a query: the object is the same, the place takes no changes.
SHOWN = SEALED | {"unlink|rename|rename over|move": "RRRRRNA"}

DIRECTORY = {
    "open w|open trunc|truncate|unlink": "IIIIINA",
    "open excl|mkdir|symlink|mknod|link over": "EEEEENA",
    "chmod|chown|utimens|link": "PPPPPNA",
    "chmod same|chown same|utimens same": "-PPPPNA",
}
# Directly in the top folder, whose name is no secret: one who sees nothing in it may not add to it.
IN_TOP = {"open excl|mkdir|symlink|mknod": "EEEEEAA"}
FULL = DIRECTORY | IN_TOP | {
    "rmdir": "TTTAANA",
    "rename": "PPPAANA",  # what is held is in it
    "rename over": "EEEAANA",
}
EMPTY = DIRECTORY | IN_TOP | {"rmdir|rename": "***AANA", "rename over": "EEEAANA"}
TOP = {
    "open w|open trunc|truncate": "IIIIIII",
    "open excl|mkdir|symlink|mknod": "EEEEEEE",
    "unlink": "AAAAAAI",  # the root is nobody's to write, and uid 0 passes every mode
    "rmdir|rename": "AAAAAAA",
    "chmod|chown|utimens": "PPPPPPA",
    "chmod same|chown same|utimens same": "-PPPPP-",
    "link": "APPPPPP",
}
ROOT = {
    "open w|open trunc|truncate": "IIIIIII",
    "chmod|chown|utimens": "PPPPPPP",
    "chmod same|chown same|utimens same": "PPPPPP-",
}
FIXED = {"chmod|utimens": "RPPPPNA", "chown": "PPPPPNA"}
SEARCHES = DIRECTORY | IN_TOP | FIXED | {"rmdir|rename": "RRRRRNA"}
SEARCH = DIRECTORY | FIXED | {"rmdir|rename": "***AANA", "rename over": "EEEAANA"}
# Any name beside a query is a query, and so taken.
QUERY = DIRECTORY | FIXED | {"rmdir|rename": "RRRRRNA", "link": "EEEEENA"}

NOTHING = {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename|setxattr": "NNNNNNA",
}
MISSING = NOTHING | {
    "open excl": "***AANA",  # a file that is written is archived: test_writing.py
    "symlink|mknod": "PPPAANA",
    "mkdir|move over": "***AANA",
    "link over": "PPPPPNA",
}
MISSING_IN_TOP = NOTHING | {
    "open excl": "***AAAA",
    "symlink|mknod": "PPPAAAA",
    "mkdir": "***AAAA",
}
NO_NAME_IN_TOP = NOTHING | {"mkdir": "VVVAAAA"}
LITTER = NOTHING | {"open excl|symlink|mknod|mkdir": "AAAAANA"}
LITTER_IN_TOP = NOTHING | {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename|setxattr": "NNNNNNN",
    "open excl|symlink|mknod|mkdir": "AAAAAAA",
}
MISSING_IN_ROOT = {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename": "NNNNNNN",
    "open excl|symlink|mknod|mkdir": "AAAAAAA",
}
LITTER_IN_ROOT = MISSING_IN_ROOT
MISSING_IN_SEARCHES = NOTHING | {
    "open excl|symlink|mknod": "RRRRRNA",
    "mkdir": "***AANA",
}
NO_QUERY_IN_SEARCHES = NOTHING | {"mkdir": "VVVAANA"}
MISSING_IN_VIEW = NOTHING | {
    "open excl|symlink|mknod|mkdir|move over": "RRRRRNA",
    "link over": "PPPPPNA",
}
NO_QUERY = {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename|open excl|symlink"
    "|mknod|mkdir": "VVVVVNA",
}

#                users admin access auditor late root
HOLDS = {
    "open w|open trunc|truncate": "NIIIII",
    "open excl|mkdir|symlink|mknod": "AEEEEE",  # the root is nobody's to write
    "unlink": "NAAAAI",
    "rmdir|rename": "NAAAAR",
    "chmod|chown|utimens": "NPPPPR",
    "chmod same|chown same|utimens same": "NPPPP-",
    "link": "NPPPPP",
}
HOLD = HOLDS | {"open excl|mkdir|symlink|mknod": "NEEEEE"}
# One who may not read mail is told of a hold, and not what is in it: neither what is there nor what
# is not. An auditor who may not read this archive sees a hold without the message.
IN_HOLD = {
    "open w|open trunc|truncate|unlink|rmdir|rename": "NAAANA",
    "open excl|mkdir|symlink|mknod": "NAEEAA",
    "chmod|chown|utimens|link": "NAPPNA",
    "chmod same|chown same|utimens same": "NAPPNA",
}
MISSING_IN_HOLD = {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename": "NANNNA",
    "open excl|mkdir|symlink|mknod": "NAAAAA",
}
CONTROL = {
    "open w|open trunc|truncate": "IIIIII",
    "open excl|mkdir|symlink|mknod": "EEEEEE",
    "unlink": "AAAAAI",
    "rmdir|rename": "AAAAAR",
    "chmod|chown|utimens": "PPPPPR",
    "chmod same|chown same|utimens same": "PPPPP-",
    "link": "PPPPPP",
}
TEXT = {
    "open w|open trunc|truncate": "AAAAAR",
    "open excl|mkdir|symlink|mknod": "EEEEEE",
    "unlink|rename": "AAAAAR",
    "rmdir": "AAAAAD",
    "chmod|chown|utimens": "PPPPPR",
    "chmod same|chown same|utimens same": "PPPPP-",
    "link": "PPPPPR",
}
MISSING_IN_CONTROL = {
    "open w|open trunc|truncate|unlink|rmdir|chmod|chown|utimens|link|rename": "NNNNNN",
    "open excl|mkdir|symlink|mknod": "AAAAAR",
}
