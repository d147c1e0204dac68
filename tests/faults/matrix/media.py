"""A medium that fails: errors while the vault is written, synced and read back, errors while the source is read, and bits
that flip in the ciphertext. It is told, the services stay on the plaintext, and it works once the fault is gone."""
import os
import random
import subprocess
import time

from .case import OK, Case, Failed, end, servers, small, until, words_of
from .space import held_back


def groups(matrix):
    # Each thread of the server counts for itself.
    faults = [("written", "pwrite64", 5, False), ("synced", "fsync", 1, False), ("dressed", "utimensat,fchmod,fchown", 4, False),
              ("read back", "pread64", 20, True), ("written at all", "pwrite64,openat,mkdirat", 2, False)]
    yield "eio", iter([
        *[(f"the vault cannot be {what}", lambda c=call, n=number, l=late: vault_case(matrix, c, n, l))
          for what, call, number, late in faults],
        ("a file cannot be read while services run", lambda: source_case(matrix, ["large"], "1+")),
        ("two files can be read in part", lambda: source_case(matrix, ["place 1/file 1", "place 2/file 2"], "1+")),
        ("nothing can be read any more", lambda: source_case(matrix, [], "3+")),
    ])
    yield "flipped", iter([
        ("a bit, before it is compared", lambda: flip_copied(matrix)),
        ("a bit, before the cut-over", lambda: flip_held_back(matrix)),
        ("a bit, after the cut-over", lambda: flip_cut_over(matrix, flip)),
        ("a file of the vault is cut short", lambda: flip_cut_over(matrix, cut_short)),
        ("a directory's vector is empty", lambda: flip_cut_over(matrix, empty_vector)),
    ])


class Outer:
    """A vault in the mount of another, whose server can be given errors: a fault layer that no kernel module is needed for."""

    def __init__(self, case):
        self.case, self.cipher, self.at = case, case.path("outer"), case.path("outer.mount")
        os.mkdir(self.cipher)
        os.mkdir(self.at)
        passphrase = ["--passphrase-file", os.path.join(case.outside, "passphrase")]
        self.tool("init", "--scrypt-log-n", "10", *passphrase, self.cipher)
        self.tool("mount", *passphrase, self.cipher, self.at)
        self.pid = servers(case)[0]
        case.vault = os.path.join(self.at, "vault")
        self.strace = None

    def tool(self, *words):
        done = subprocess.run([self.case.binary, *words], env=self.case.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"{words[0]} of the outer vault: {words_of(done)}")

    def fail(self, calls, number):
        """From the so-manieth call on, in each thread."""
        self.strace = subprocess.Popen(["strace", "-f", "-qq", "-p", str(self.pid), "-o", os.path.join(self.case.outside, "injected"),
                                        "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO:when={number}+"],
                                       stderr=subprocess.DEVNULL)
        traced = lambda: "TracerPid:\t0" not in open(f"/proc/{self.pid}/status").read()
        until(lambda: traced() or self.strace.poll() is not None, "strace is attached")

    def heal(self):
        if self.strace:
            self.strace.terminate()
            self.strace.wait()
            self.strace = None

    def was_hit(self):
        return "(INJECTED)" in open(os.path.join(self.case.outside, "injected")).read()


def vault_case(matrix, calls, number, late):
    """`late`: not before it is read back."""
    case = Case(matrix.binary, matrix.within, make=small(60, 60_000, 8 << 20))
    outer = None
    try:
        outer = Outer(case)
        if not late:
            outer.fail(calls, number)
        child = case.start("encrypt")
        if late:
            until(lambda: child.poll() is not None or servers(case, "stage"), "it is read back", 120)
            outer.fail(calls, number)
        code = child.wait(timeout=300)
        outer.heal()
        if not outer.was_hit():
            raise Failed("no error was injected")
        if code == OK:
            # It had another look, and that was well.
            case.is_whole(mounted=True)
            return
        if "strongroom:" not in case.said() or "panick" in case.said():
            raise Failed(f"it ended with {code} and no reason: {case.said()}")
        case.is_whole(mounted=False)
        finished(case)
    finally:
        if outer:
            outer.heal()
        case.clear()


def finished(case):
    done = case.run("resume", expect=None)
    if done.returncode != OK and not case.is_mounted():
        # The vault was not yet there, or is not worth keeping: everything goes back, and is begun anew.
        back = case.run("rollback", expect=None)
        case.is_whole(mounted=False)
        if back.returncode == OK:
            case.vault += ".second"
        again = case.run("encrypt", expect=None)
        if again.returncode != OK:
            raise Failed(f"resume gave {done.returncode} ({words_of(done)}), rollback {back.returncode} ({words_of(back)}), "
                         f"encrypt {again.returncode}: {words_of(again)}")
    case.is_whole(mounted=True)


def source_case(matrix, names, when):
    """Reads of these files (of all, if none is named) fail. strace knows them by their path, which is another behind the
    fence: then they can be read again, and what could not be read before must be copied after all."""
    case = Case(matrix.binary, matrix.within, make=small(60, 60_000, 8 << 20))
    try:
        places = [word for name in names for word in ("-P", os.path.join(case.data, name))]
        injected = os.path.join(case.outside, "injected")
        child = case.start("encrypt", wrapped=["strace", "-f", "-qq", "-o", injected, *places, "-e", "trace=pread64",
                                               "-e", f"inject=pread64:error=EIO:when={when}"])
        # What serves the mount is followed too, and strace does not end before that does.
        until(lambda: child.poll() is not None or (case.status() or {}).get("state") == "soak", "encrypt ends", 120)
        child.kill()
        child.wait()
        if "(INJECTED)" not in open(injected).read():
            raise Failed("no error was injected")
        if case.is_mounted():
            case.is_whole(mounted=True)
            return
        if "strongroom: " not in case.said() or "panick" in case.said():
            raise Failed(f"it failed with no reason: {case.said()}")
        case.is_whole(mounted=False)
        finished(case)
    finally:
        case.clear()


def ciphertexts(case):
    """The files of the vault that hold content, longest first."""
    found = []
    for place, _, names in os.walk(case.vault):
        for name in names:
            if not name.startswith("gocryptfs.") and os.path.getsize(os.path.join(place, name)) > 1000:
                found.append(os.path.join(place, name))
    return sorted(found, key=os.path.getsize)


def flip(case):
    """One bit, in the middle of the longest file."""
    path = ciphertexts(case)[-1]
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1 << random.randrange(8)]))
    os.sync()


def cut_short(case):
    path = ciphertexts(case)[-1]
    os.truncate(path, os.path.getsize(path) // 2)


def empty_vector(case):
    place = os.path.dirname(ciphertexts(case)[0])
    path = os.path.join(place, "gocryptfs.diriv")
    os.chmod(path, 0o600)
    os.truncate(path, 0)


def flip_copied(matrix):
    """When the copy is made, and nothing has been read back yet."""
    case = Case(matrix.binary, matrix.within, make=small(60, 60_000, 8 << 20))
    try:
        child = case.start("encrypt")
        until(lambda: child.poll() is not None or servers(case, "stage"), "it is copied", 120)
        end(child.pid)
        child.wait()
        until(lambda: not servers(case, "stage"), "the private mount is taken down")
        flip(case)
        done = case.run("resume", expect=None)
        if done.returncode == OK:
            case.is_whole(mounted=True)  # It was found, and copied again.
        else:
            case.is_whole(mounted=False)
            finished(case)
    finally:
        case.clear()


def flip_held_back(matrix):
    """All was compared, and it waits for the services to be stopped."""
    case = Case(matrix.binary, matrix.within, make=small(60, 60_000, 8 << 20))
    try:
        child, postpone = held_back(case)
        flip(case)
        os.unlink(postpone)
        if child.wait(timeout=300) == OK:
            refuses_to_finalize(case)
        else:
            case.is_whole(mounted=False)
            finished(case)
    finally:
        case.clear()


def flip_cut_over(matrix, damage):
    case = Case(matrix.binary, matrix.within, make=small(60, 60_000, 8 << 20))
    try:
        case.run("encrypt")
        damage(case)
        refuses_to_finalize(case)
    finally:
        case.clear()


def refuses_to_finalize(case):
    """Not a byte of the originals is erased, and they are the way back."""
    done = case.run("finalize", expect=None)
    if done.returncode == OK:
        raise Failed("the originals were erased, though the vault is damaged")
    if "has not passed" not in done.stderr:
        raise Failed(f"finalize gave {done.returncode}, and does not say which check failed: {words_of(done)}")
    differences = case.differences(of=case.aside())
    if differences:
        raise Failed(f"the originals are not what they were: {differences}")
    case.run("rollback", expect=None)
    if case.is_mounted():
        case.run("rollback", "--to-freeze")
    case.is_whole(mounted=False)
