"""Disks that fill up while it runs, and in every place that is written to: always a pause with services running, nothing
lost, and resume goes on once there is room."""
import os
import shutil
import subprocess
import tempfile

from .case import NOT_MIGRATED, OK, PAUSED, WENT_BACK, Case, Failed, small, until, words_of

MIB = 1 << 20


def groups(matrix):
    yield "full", iter([
        ("no blocks left for the vault", lambda: vault_case(matrix, Disk.fill)),
        ("no inodes left for the vault", lambda: vault_case(matrix, Disk.exhaust)),
        ("no room left for the journal", lambda: journal_case(matrix)),
        ("no room to carry back", lambda: carry_case(matrix)),
        ("no room for the backup", lambda: backup_case(matrix)),
    ])


class Disk:
    """A small file system, and somebody who takes what is left of it."""

    def __init__(self, megabytes, inodes=4096):
        self.outside = tempfile.mkdtemp(prefix="disk-")
        self.at = os.path.join(self.outside, "disk")
        os.mkdir(self.at)
        image = os.path.join(self.outside, "image")
        with open(image, "wb") as out:
            out.truncate(megabytes * MIB)
        subprocess.run(["mkfs.ext4", "-qF", "-b", "4096", "-m", "0", "-N", str(inodes), image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.at], check=True)

    def path(self, name):
        return os.path.join(self.at, name)

    def fill(self):
        """Takes every block, down to the last."""
        if not os.path.exists(self.path("hog")):
            self.free()
        with open(self.path("hog"), "ab", buffering=0) as out:
            for piece in (MIB, 4096):
                try:
                    while True:
                        out.write(b"\1" * piece)
                except OSError:
                    pass
            try:
                os.fsync(out.fileno())
            except OSError:
                pass

    def exhaust(self):
        """Takes every inode."""
        try:
            os.makedirs(self.path("hogs"), exist_ok=True)
            for number in range(1 << 20):
                os.close(os.open(self.path(f"hogs/{number}"), os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass

    def free(self):
        shutil.rmtree(self.path("hogs"), ignore_errors=True)
        if os.path.exists(self.path("hog")):
            os.unlink(self.path("hog"))

    def detach(self):
        subprocess.run(["umount", "-l", self.at], capture_output=True)
        shutil.rmtree(self.outside, ignore_errors=True)


def held_back(case):
    """An encryption that has copied all, and waits with the services running."""
    postpone = os.path.join(case.outside, "postpone")
    open(postpone, "w").close()
    events = os.path.join(case.outside, "events")
    child = case.start("encrypt", "--postpone-file", postpone, "--events", events)
    waits = lambda: os.path.exists(events) and "as long as" in open(events).read()
    until(lambda: child.poll() is not None or waits(), "it waits for the postpone file to go", 120)
    if child.poll() is not None:
        raise Failed(f"encrypt ended with {child.returncode}: {case.said()}")
    return child, postpone


def is_paused(case, code):
    """As before it began: the services run, on all of the plaintext."""
    if code not in (PAUSED, WENT_BACK):
        raise Failed(f"encrypt ended with {code}, which is no pause: {case.said()}")
    case.is_whole(mounted=False)


def grow(case, count, size):
    for number in range(count):
        with open(os.path.join(case.data, f"grown {number}"), "wb") as out:
            out.write(os.urandom(size))
    case.note()


def vault_case(matrix, take):
    disk, case = Disk(96, inodes=900), None
    try:
        case = Case(matrix.binary, matrix.within, make=small(60, 100_000))
        case.vault = disk.path("vault")
        child, postpone = held_back(case)
        take(disk)
        grow(case, 40, 400_000)
        os.unlink(postpone)
        is_paused(case, child.wait(timeout=300))
        if case.run("resume", expect=None).returncode == OK:
            raise Failed("it went on, though there was no room")
        case.is_whole(mounted=False)
        disk.free()
        case.run("resume")
        case.is_whole(mounted=True)
    finally:
        if case:
            case.clear()
        disk.detach()


def journal_case(matrix):
    disk, case = Disk(32), None
    try:
        case = Case(matrix.binary, matrix.within, make=small())
        case.state = disk.path("state")
        child, postpone = held_back(case)
        disk.fill()
        disk.exhaust()
        grow(case, 600, 100)
        os.unlink(postpone)
        is_paused(case, child.wait(timeout=300))
        case.run("resume", expect=None)
        case.shows_all_or_refuses()
        disk.free()
        case.run("resume")
        case.is_whole(mounted=True)
        disk.fill()
        disk.exhaust()
        if case.run("rollback", expect=None).returncode != OK:
            case.shows_all_or_refuses()
            if not case.runs():
                raise Failed("the service does not run")
            disk.free()
            if case.run("resume", expect=None).returncode != OK or case.is_mounted():
                case.run("rollback")
        case.is_whole(mounted=False)
    finally:
        if case:
            case.clear()
        disk.detach()


def carry_case(matrix):
    """The originals are on the small disk, and the vault has grown elsewhere beyond what is left there."""
    disk, case = Disk(64), None
    try:
        case = Case(matrix.binary, disk.at, make=small(40, 200_000))
        case.state, case.vault = os.path.join(case.outside, "state"), os.path.join(case.outside, "vault")
        case.run("encrypt")
        for number in range(12):
            with open(os.path.join(case.data, f"written {number}"), "wb") as out:
                out.write(os.urandom(MIB))
            # With pages that are written later the kernel may show another time than is stored, by some milliseconds.
            os.utime(out.name, ns=(5, 1_600_000_000_123_456_789))
        os.unlink(os.path.join(case.data, "place 1", "file 1"))
        case.note()
        disk.fill()
        done = case.run("rollback", expect=None)
        if done.returncode == OK:
            raise Failed("it was carried back to where there is no room")
        if done.returncode not in (PAUSED, WENT_BACK, NOT_MIGRATED):
            raise Failed(f"rollback ended with {done.returncode}: {words_of(done)}")
        case.is_whole(mounted=True)
        disk.free()
        case.run("rollback")
        case.is_whole(mounted=False)
    finally:
        if case:
            case.clear()
        disk.detach()


def backup_case(matrix):
    disk, case = Disk(32), None
    try:
        case = Case(matrix.binary, matrix.within, make=small(60, 200_000))
        disk.fill()
        more = ("--backup-to", disk.path("backups"))
        done = case.run("encrypt", *more, expect=None)
        if done.returncode not in (NOT_MIGRATED, PAUSED):
            raise Failed(f"with no room for the backup encrypt gave {done.returncode}: {words_of(done)}")
        case.is_whole(mounted=False)
        disk.free()
        # It is found too small while it is written to.
        child = case.start("encrypt", *more)
        until(lambda: child.poll() is not None or os.path.isdir(disk.path("backups")), "the backup begins")
        disk.fill()
        child.wait(timeout=300)
        disk.free()
        if child.returncode != OK:
            is_paused(case, child.returncode)
            case.run("resume")
        case.is_whole(mounted=True)
    finally:
        if case:
            case.clear()
        disk.detach()
