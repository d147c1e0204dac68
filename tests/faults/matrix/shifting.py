"""A source that does not hold still: writers of every kind until the service stops, an attacker who swaps directories for
links, and processes that keep files open and belong to no service."""
import os
import subprocess
import sys

from .case import BUSY, OK, WENT_BACK, Case, Failed, small, until, words_of
from .judge import JUDGE
from .space import held_back

SHIFTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shifter.py")
MARK = b"a secret of somebody else"


def groups(matrix):
    ways = ["map", "truncate", "replace", "forge", "swap", "remove", "turn", "grow"]
    yield "shifting", iter([
        *[(f"a writer that will {way}", lambda w=way: written(matrix, [w])) for way in matrix.share(ways, 3)],
        ("writers of all kinds", lambda: written(matrix, ways)),
        ("directories swapped for links to outside", lambda: attacked(matrix)),
        *[(f"a stranger who holds a file by {how}", lambda h=how: held(matrix, h))
          for how in matrix.share(["opening", "mapping", "sending"], 2)],
    ])


def written(matrix, ways):
    """The service is the writers; what they leave when they are stopped is what has to be in the vault."""
    case = Case(matrix.binary, matrix.within, make=small(60, 30_000, 4 << 20))
    writers = []
    try:
        writers = [subprocess.Popen([sys.executable, SHIFTER, way, case.data, os.path.join(case.outside, "elsewhere")])
                   for way in ways]
        pids = [str(writer.pid) for writer in writers]
        # A writer that has ended is a zombie until this process has a look at it.
        ended = " && ".join(f"(! test -e /proc/{pid}/cwd)" for pid in pids)
        case.configure(stop=f"kill -TERM {' '.join(pids)} 2>/dev/null; until {ended}; do sleep 0.01; done; "
                            f"test -e {case.list}.last || {JUDGE} list {case.data} > {case.list}.last")
        done = case.run("encrypt", expect=None)
        if not os.path.exists(case.list + ".last"):
            raise Failed(f"the writers were not stopped: {words_of(done)}")
        os.rename(case.list + ".last", case.list)
        if done.returncode != OK:
            case.is_whole(mounted=False)
            case.run("resume" if case.has_begun() else "encrypt")
        case.is_whole(mounted=True)
        case.run("rollback")
        case.is_whole(mounted=False)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        case.clear()


def attacked(matrix):
    """Somebody who may write in the source swaps a directory for a link to what he may not read himself."""
    case = Case(matrix.binary, matrix.within, make=small(60, 30_000, 4 << 20))
    secret = os.path.join(case.outside, "elsewhere")
    os.mkdir(secret)
    for number in range(60):
        with open(os.path.join(secret, f"file {number}"), "wb") as out:
            out.write(MARK * 100)
    attackers = []
    try:
        for place in range(3):
            attackers.append(subprocess.Popen([sys.executable, SHIFTER, f"link:{place}", case.data, secret]))
        pids = [str(one.pid) for one in attackers]
        ended = " && ".join(f"(! test -e /proc/{pid}/cwd)" for pid in pids)
        case.configure(stop=f"kill -TERM {' '.join(pids)} 2>/dev/null; until {ended}; do sleep 0.01; done; "
                            f"test -e {case.list}.last || {JUDGE} list {case.data} > {case.list}.last")
        done = case.run("encrypt", expect=None)
        if os.path.exists(case.list + ".last"):
            os.rename(case.list + ".last", case.list)
        else:
            for one in attackers:
                one.terminate()
                one.wait()
            case.note()
        if done.returncode != OK:
            case.is_whole(mounted=False)
            case.run("resume" if case.has_begun() else "encrypt")
        case.is_whole(mounted=True)
        for place, directories, names in os.walk(case.data):
            for name in names:
                path = os.path.join(place, name)
                if not os.path.islink(path) and MARK in open(path, "rb").read():
                    raise Failed(f"what is outside was read into the vault, as {path}")
    finally:
        for one in attackers:
            one.kill()
            one.wait()
        case.clear()


def held(matrix, how):
    """A stranger comes while it is copied, and stays: he is named, nothing is cut over, and once he is gone it goes on."""
    case = Case(matrix.binary, matrix.within, make=small(60, 30_000))
    stranger = None
    try:
        child, postpone = held_back(case)
        path = os.path.join(case.data, "place 1", "file 1")
        stranger = subprocess.Popen([sys.executable, SHIFTER, f"hold:{how}", path, case.outside], stdout=subprocess.PIPE)
        stranger.stdout.readline()
        os.unlink(postpone)
        code = child.wait(timeout=300)
        if code not in (BUSY, WENT_BACK):
            raise Failed(f"with a writer in it encrypt gave {code}: {case.said()}")
        if str(stranger.pid) not in case.said() and "file 1" not in case.said():
            raise Failed(f"neither the writer nor his file is named: {case.said()}")
        case.is_whole(mounted=False)
        stranger.kill()
        stranger.wait()
        case.run("resume")
        case.is_whole(mounted=True)
    finally:
        if stranger:
            stranger.kill()
            stranger.wait()
        case.clear()
