"""The power is cut at a call that changes something: the file system forgets what was not synced, and everybody ends."""
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from .case import Case, Failed, NotHit, end, end_servers, unmount_below, words_of

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN


def groups(matrix):
    for kind in ("ext4", "xfs"):
        yield f"power-{kind}", cuts(matrix, kind)


def cuts(matrix, kind):
    for call, number in matrix.share(matrix.points("encrypt"), 2):
        yield f"{call} {number}", lambda c=call, n=number: power_case(matrix, kind, c, n)


def power_case(matrix, kind, call, number):
    """Stops the process at the call, takes the power from the file system, and starts the machine anew."""
    outside = tempfile.mkdtemp(prefix="power-")
    image, disk = os.path.join(outside, "image"), os.path.join(outside, "disk")
    os.mkdir(disk)
    with open(image, "wb") as out:
        out.truncate((400 if kind == "xfs" else 256) << 20)
    subprocess.run(["mkfs.ext4", "-qF", "-b", "4096", image] if kind == "ext4" else ["mkfs.xfs", "-qf", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    case = None
    try:
        case = Case(matrix.binary, disk, few=True)
        subprocess.run(["sync", "-f", disk], check=True)  # and not what everybody else has to write
        child = case.start("encrypt", trapped=(call, number, signal.SIGSTOP))
        stopped = (wait_trapped if case.traps else wait_stopped)(child)
        was_missed = not stopped
        root = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(root, SHUTDOWN, struct.pack("I", 2))
        os.close(root)
        for pid in stopped:
            end(pid)
        child.kill()
        child.wait()
        end_servers(case)
        unmount_below(disk)
        unmount(disk)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        reboot(case)
        if was_missed:
            raise NotHit
    finally:
        if case:
            end_servers(case)
            case.clear()
        unmount_below(disk)
        subprocess.run(["umount", "-l", disk], capture_output=True)
        shutil.rmtree(outside, ignore_errors=True)


def reboot(case):
    case.shows_all_or_refuses(between="power")
    case.run("recover", "--at-boot", expect=None)
    case.shows_all_or_refuses()
    done = case.run("resume", expect=None)
    if done.returncode != 0 and not case.is_mounted():
        if case.differences():
            raise Failed(f"after the power cut resume gave {done.returncode}: {words_of(done)}")
        open(os.path.join(case.run_dir, "running"), "w").close()  # as the machine's own start would
        shutil.rmtree(case.vault, ignore_errors=True)
        case.run("encrypt")
    case.is_whole(mounted=True)


def wait_trapped(child):
    """The process, once it is stopped; nothing if it has ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found:
            return [child.pid] if found.si_code == os.CLD_STOPPED else []
        time.sleep(0.02)
    return []


def wait_stopped(child):
    """The process below strace, once it is stopped, or has ended."""
    deadline = time.monotonic() + 120
    while child.poll() is None and time.monotonic() < deadline:
        children = open(f"/proc/{child.pid}/task/{child.pid}/children").read().split()
        for pid in map(int, children):
            try:
                # Stopped for good by the signal, and not for a moment by strace.
                state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
                if state in "Tt" and "SigPnd" in open(f"/proc/{pid}/status").read():
                    time.sleep(0.05)
                    if open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] in "Tt":
                        return [pid]
            except OSError:
                continue
        time.sleep(0.005)
    return []


def unmount(disk):
    """As soon as those that were killed have let go of it."""
    until = time.monotonic() + 20
    while subprocess.run(["umount", disk], capture_output=True).returncode != 0:
        if time.monotonic() > until:
            raise Failed("the file system whose power was cut is still in use")
        time.sleep(0.05)
