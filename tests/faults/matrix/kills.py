"""SIGKILL at every call of the main thread that changes something, in every command; then resume, or go back, or kill
that too. The end is always the same: everything is there, the right side is up, and nothing else was touched."""
import collections
import os
import re
import shutil
import signal

from .case import NO_MIGRATION, OK, Case, Failed, NotHit, words_of
from .judge import differences, listed

# What changes something that survives the process. The bulk of the copying is done by other threads, at random times.
CALLS = ["fsync", "fdatasync", "syncfs", "renameat2", "renameat", "rename", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir",
         "fchmod", "fchmodat", "ioctl", "fsetxattr", "setxattr", "linkat", "umount2", "mount", "pwrite64", "ftruncate",
         "fallocate", "execve", "utimensat", "symlinkat", "fchown", "fchownat"]
WAYS = ["resume", "rollback", "twice", "back"]
# Where something was found once, or beside it: a sample has these, too.
FOUND = [("fsync", 46), ("unlink", 1), ("utimensat", 12)]


def groups(matrix):
    yield "kill", encrypting(matrix)
    for verb in ("rollback", "finalize", "decrypt", "resume"):
        yield f"kill-{verb}", others(matrix, verb)


def encrypting(matrix):
    points = matrix.points("encrypt")
    share = matrix.share(points, 12) + (FOUND if matrix.sample else [])
    for index, (call, number) in enumerate(share):
        for way in [WAYS[index % 4]] if matrix.is_partial else WAYS:
            yield f"{call} {number} {way}", lambda c=call, n=number, w=way: kill_encrypt(matrix, c, n, w)


def others(matrix, verb):
    points = matrix.points(verb)
    for index, (call, number) in enumerate(matrix.share(points, 4)):
        twice = bool(index % 2)
        name = f"{call} {number}{' twice' if twice else ''}"
        yield name, lambda c=call, n=number, t=twice: KILLED[verb](matrix, c, n, t)


def profile(matrix, verb):
    """Which calls the main thread makes that change something: the name, and the how manieth of that name."""
    case = Case(matrix.binary, matrix.within, few=True)
    log = os.path.join(case.outside, "strace.log")
    try:
        PREPARED[verb](case)
        case.run(verb, wrapped=["strace", "-qq", "-o", log, "-e", "trace=" + ",".join(CALLS)])
        case.is_whole(mounted=verb not in ("rollback", "decrypt"))
        counts, points = collections.Counter(), []
        for call, arguments in re.findall(r"^(\w+)\((.*)$", open(log, errors="replace").read(), re.M):
            counts[call] += 1
            if call in CALLS and (call != "ioctl" or "SETFLAGS" in arguments or "_IOW" in arguments):
                points.append((call, counts[call]))
        return points
    finally:
        case.clear()


def kill_encrypt(matrix, call, number, way):
    case = Case(matrix.binary, matrix.within, few=True)
    try:
        case.hit("encrypt", call, number)
        if not case.has_begun():
            case.is_whole(mounted=False)
            case.run("encrypt")
            case.is_whole(mounted=True)
        elif way == "rollback":
            done = case.run("rollback", expect=None)
            # Nothing but a plan, or not even that, was on the disk.
            if done.returncode != 0 and (case.differences() or case.is_mounted()):
                raise Failed(f"rollback gave {done.returncode}: {words_of(done)}")
            case.is_whole(mounted=False)
        else:
            if way == "twice":
                case.hit_again(call, max(1, number // 2))
            resumed(case)
            if way == "back":
                case.run("rollback")
                case.is_whole(mounted=False)
        was_hit(case)
    finally:
        case.clear()


def was_hit(case):
    """All is well, and that says something about the call."""
    if case.was_missed:
        raise NotHit


def resumed(case):
    """Resumes to the end of an encryption, or begins it anew if it had not come so far that there is something to resume."""
    done = case.run("resume", expect=None)
    if done.returncode != 0 and not case.is_mounted():
        case.is_whole(mounted=False)
        case.run("encrypt")
    elif done.returncode != 0:
        raise Failed(f"resume gave {done.returncode}: {words_of(done)}")
    case.is_whole(mounted=True)


def encrypted(case):
    case.run("encrypt")


def written(case):
    """Encrypted, and then changed in every way that is to be carried back."""
    encrypted(case)
    at = lambda name: os.path.join(case.data, name)
    os.mkdir(at("new place"))
    for number in range(12):
        with open(at(f"new place/{number}"), "wb") as out:
            out.write(os.urandom(9000 * number))
    with open(at("size 4097"), "r+b") as out:
        out.seek(100)
        out.write(b"changed in the vault")
    with open(at("many/003"), "wb") as out:
        out.write(b"shorter")
    os.chmod(at("many/005"), 0o640)
    os.rename(at("many/006"), at("new place/moved"))
    os.unlink(at("many/007"))
    shutil.rmtree(at("odd"))
    os.unlink(at("fifo"))
    os.mkdir(at("fifo"))
    os.link(at("size 1"), at("new place/linked"))
    os.setxattr(at("attributes"), b"user.comment", b"another")
    for name in ("size 4097", "many/003", *(f"new place/{number}" for number in range(12))):
        # With pages that are written later the kernel may show another time than is stored, by some milliseconds.
        os.utime(at(name), ns=(5, 1_600_000_000_123_456_789))
    case.note()


def guarded(case):
    """Encrypted, with a tree beside that shares files with the originals and must outlive them."""
    guard = os.path.join(case.at, "beside")
    os.mkdir(guard)
    for name in ("one", "two"):
        with open(os.path.join(guard, name), "wb") as out:
            out.write(os.urandom(70000))
        shutil.copy2(os.path.join(guard, name), os.path.join(case.data, "shared " + name))
    case.note()
    listed(guard, os.path.join(case.outside, "guard"))
    moment = os.stat(case.data)
    for name in ("one", "two"):
        os.unlink(os.path.join(case.data, "shared " + name))
        os.link(os.path.join(guard, name), os.path.join(case.data, "shared " + name))
    os.utime(case.data, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    encrypted(case)


def nothing_beside_was_touched(case):
    found = differences(os.path.join(case.outside, "guard"), os.path.join(case.at, "beside"))
    if found:
        raise Failed(f"what lies beside the originals was changed: {found}")


def finalized(case):
    encrypted(case)
    case.run("finalize")


def interrupted(case):
    """An encryption that ended while it was at the fence."""
    case.run("encrypt", trapped=("renameat2", 6, signal.SIGKILL), expect=None)


PREPARED = {"encrypt": lambda case: None, "rollback": written, "finalize": guarded, "decrypt": finalized, "resume": interrupted}


def again(case, verb, call, number, twice):
    """Killed, and maybe killed while it is resumed; then resumed."""
    case.hit(verb, call, number)
    if twice:
        case.hit_again(call, max(1, number // 2))
    done = case.run("resume", expect=None)
    if done.returncode not in (OK, NO_MIGRATION):
        raise Failed(f"resume gave {done.returncode}: {words_of(done)}")


def kill_rollback(matrix, call, number, twice):
    case = Case(matrix.binary, matrix.within, few=True)
    try:
        written(case)
        again(case, "rollback", call, number, twice)
        if case.is_mounted():  # It had not decided yet.
            case.is_whole(mounted=True)
            case.run("rollback")
        case.is_whole(mounted=False)
        was_hit(case)
    finally:
        case.clear()


def kill_finalize(matrix, call, number, twice):
    case = Case(matrix.binary, matrix.within, few=True)
    try:
        guarded(case)
        aside = case.aside()
        again(case, "finalize", call, number, twice)
        case.is_whole(mounted=True)
        if os.path.exists(aside):  # It had not decided yet.
            case.run("finalize")
        if os.path.exists(aside):
            raise Failed("the originals are still there")
        case.is_whole(mounted=True)
        nothing_beside_was_touched(case)
        was_hit(case)
    finally:
        case.clear()


def kill_decrypt(matrix, call, number, twice):
    case = Case(matrix.binary, matrix.within, few=True)
    try:
        finalized(case)
        again(case, "decrypt", call, number, twice)
        if case.is_mounted():
            case.is_whole(mounted=True)
            case.run("decrypt")
        case.is_whole(mounted=False)
        was_hit(case)
    finally:
        case.clear()


def kill_resume(matrix, call, number, twice):
    case = Case(matrix.binary, matrix.within, few=True)
    try:
        interrupted(case)
        case.hit("resume", call, number)
        if twice:
            case.hit_again(call, max(1, number // 2))
        resumed(case)
        was_hit(case)
    finally:
        case.clear()


KILLED = {"rollback": kill_rollback, "finalize": kill_finalize, "decrypt": kill_decrypt, "resume": kill_resume}
