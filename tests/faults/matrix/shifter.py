"""Somebody who writes to a directory until SIGTERM, in one way: shifter.py WAY DIR ELSEWHERE."""
import ctypes
import mmap
import os
import random
import shutil
import signal
import socket
import sys
import time

way, root, elsewhere = sys.argv[1:]
chance = random.Random(way)
ends = []
signal.signal(signal.SIGTERM, lambda *_: ends.append(True))


def some():
    number = chance.randrange(40)
    return os.path.join(root, f"place {number % 7}", f"file {number}")


def map_store():
    """Stores into a shared map, without msync; the descriptor is closed."""
    with open(os.path.join(root, "mapped"), "a+b") as file:
        file.truncate(1 << 20)
        mapped = mmap.mmap(file.fileno(), 1 << 20)
    while not ends:
        at = chance.randrange(1 << 20)
        mapped[at] = chance.randrange(256)
        time.sleep(0.0005)


def truncate():
    path = some()
    try:
        os.truncate(path, chance.randrange(60_000))
        with open(path, "ab") as out:
            out.write(os.urandom(chance.randrange(9000)))
    except FileNotFoundError:
        pass


def replace():
    beside = os.path.join(root, ".beside")
    with open(beside, "wb") as out:
        out.write(os.urandom(chance.randrange(50_000)))
    os.rename(beside, some())


def forge():
    """The same size and the same times, and another content."""
    path = os.path.join(root, "large")
    info = os.stat(path)
    with open(path, "r+b") as out:
        out.seek(chance.randrange(info.st_size - 100))
        out.write(os.urandom(100))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def turn():
    """A file becomes a directory, and a directory a file."""
    path = os.path.join(root, f"turning {chance.randrange(5)}")
    if os.path.isdir(path):
        shutil.rmtree(path)
        with open(path, "wb") as out:
            out.write(os.urandom(5000))
    else:
        if os.path.exists(path):
            os.unlink(path)
        os.mkdir(path)
        for number in range(3):
            with open(os.path.join(path, f"inner {number}"), "wb") as out:
                out.write(os.urandom(3000))


def swap():
    first, second = some(), some()
    exchange(first, second)


def remove():
    path = some()
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as out:
        out.write(os.urandom(chance.randrange(20_000)))
    linked = os.path.join(root, f"linked {chance.randrange(9)}")
    if os.path.lexists(linked):
        os.unlink(linked)
    try:
        os.link(path, linked)
    except FileNotFoundError:
        pass


def grow():
    with open(os.path.join(root, "growing"), "ab") as out:
        out.write(os.urandom(20_000))


def exchange(first, second):
    """renameat2 with RENAME_EXCHANGE."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.renameat2(-100, os.fsencode(first), -100, os.fsencode(second), 2)


def link_attack(place):
    """A directory and a link to elsewhere change places all the time."""
    directory, link = os.path.join(root, f"place {place}"), os.path.join(root, f"link {place}")
    if not os.path.lexists(link):
        os.symlink(elsewhere, link)
    while not ends:
        exchange(directory, link)
        time.sleep(0.0002)


def hold(how):
    """Keeps one file, and changes it now and then."""
    descriptor = os.open(root, os.O_RDWR)
    kept = None
    if how == "mapping":
        kept = mmap.mmap(descriptor, 4096)
        os.close(descriptor)
    elif how == "sending":
        kept = socket.socketpair()
        socket.send_fds(kept[0], [b"x"], [descriptor])
        os.close(descriptor)
    print("held", flush=True)
    signal.pause()
    return kept


if way == "map":
    map_store()
elif way.startswith("link:"):
    link_attack(way[5:])
elif way.startswith("hold:"):
    hold(way[5:])
else:
    step = {"truncate": truncate, "replace": replace, "forge": forge, "swap": swap, "remove": remove, "turn": turn, "grow": grow}[way]
    while not ends:
        step()
        time.sleep(0.003)
