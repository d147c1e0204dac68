"""Processes end, or hang, at times of their own choosing while data are copied and orders taken: the migration, the private
mount that is verified through, and the server of the mount after the cut-over. No acknowledged order is ever lost."""
import os
import random
import signal
import subprocess
import time

from .case import OK, PAUSED, WENT_BACK, Case, Failed, end, servers, small, until, words_of


def groups(matrix):
    yield "random", at_random(matrix)
    yield "servers", iter([
        ("the private mount ends while it is verified", lambda: stage_case(matrix, 1)),
        ("the private mount ends again and again", lambda: stage_case(matrix, 3)),
        ("the private mount hangs for a while", lambda: hang_case(matrix)),
        ("the server ends under load", lambda: server_case(matrix, signal.SIGKILL, "resume")),
        ("the server ends, then rollback", lambda: server_case(matrix, signal.SIGKILL, "rollback")),
        ("the server ends while it is rolled back", lambda: rollback_case(matrix)),
        ("the server is stopped for a while", lambda: server_case(matrix, signal.SIGSTOP, "resume")),
        ("somebody takes the mount away", lambda: server_case(matrix, None, "resume")),
    ])


def at_random(matrix):
    for number in range(4 if matrix.sample else 60):
        seed = matrix.chance.randrange(1 << 30)
        large = bool(number % 2)
        yield f"seed {seed}{' large' if large else ''}", lambda s=seed, l=large: random_case(matrix, s, l)


def shop(matrix, large=True):
    """A service that takes orders, beside enough other data that all workers are busy for a while."""
    case = Case(matrix.binary, matrix.within, orders=True, make=small(300, 50_000, (64 << 20) if large else 0) if large else None)
    case.health = ["--health", "exec:ping"]
    case.open_shop()
    return case


def random_case(matrix, seed, large):
    """Kills at random times while a service is written to; what was acknowledged is there, on whatever side."""
    chance = random.Random(seed)
    case = shop(matrix, large)
    try:
        verb = "encrypt"
        for _ in range(chance.randrange(2, 5)):
            child = case.start(verb)
            time.sleep(chance.uniform(0.0, 3.0))
            if chance.random() < 0.3:
                for pid in servers(case, "stage"):
                    end(pid)
            child.kill()
            child.wait()
            verb = "resume" if case.has_begun() else "encrypt"
        if case.run("resume", expect=None).returncode != OK:
            case.run("encrypt", expect=None)
        case.more_orders(20)
        if chance.random() < 0.5:
            child = case.start("rollback")
            time.sleep(chance.uniform(0.0, 2.0))
            child.kill()
            child.wait()
            case.run("resume")
        case.more_orders(20)
        case.close_shop()
    finally:
        case.clear()


def stage_case(matrix, times):
    """What serves the private mount is killed: a failure that is told, services up on the plaintext, and resume goes on."""
    case = shop(matrix)
    try:
        child = case.start("encrypt")
        for _ in range(times):
            until(lambda: child.poll() is not None or servers(case, "stage"), "the private mount is made", 200)
            for pid in servers(case, "stage"):
                end(pid)
            time.sleep(0.05)
        code = child.wait(timeout=300)
        if code not in (OK, WENT_BACK, PAUSED, 1):
            raise Failed(f"encrypt ended with {code}: {case.said()}")
        if code != OK:
            if case.is_mounted():
                raise Failed(f"it is mounted, though encrypt failed: {case.said()}")
            case.more_orders(20)
            case.run("resume")
        if not case.is_mounted():
            raise Failed("it is not mounted")
        case.more_orders(20)
        case.close_shop()
    finally:
        case.clear()


def hang_case(matrix):
    """What serves the private mount stands still for seconds, and then goes on: so does the migration."""
    case = shop(matrix)
    try:
        child = case.start("encrypt")
        until(lambda: child.poll() is not None or servers(case, "stage"), "the private mount is made", 200)
        held = servers(case, "stage")
        for pid in held:
            end(pid, signal.SIGSTOP)
        time.sleep(3)
        case.more_orders(1) if case.runs() else None
        for pid in held:
            end(pid, signal.SIGCONT)
        if child.wait(timeout=300) != OK:
            raise Failed(f"encrypt failed: {case.said()}")
        case.more_orders(20)
        case.close_shop()
    finally:
        case.clear()


def its_server(case):
    found = [pid for pid in servers(case) if "stage" not in open(f"/proc/{pid}/cmdline").read().split("\0")]
    if not found:
        raise Failed("nothing serves the mount")
    return found


def server_case(matrix, what, verb):
    """After the cut-over the mount dies, hangs or is taken away while orders are taken; then it is brought back."""
    case = shop(matrix, large=False)
    try:
        case.run("encrypt")
        case.more_orders(20)
        if what is None:
            subprocess.run(["umount", "-l", case.data], check=True)
        else:
            held = its_server(case)
            for pid in held:
                end(pid, what)
        if what == signal.SIGSTOP:
            case.status()  # Asks nobody who could keep it waiting.
            time.sleep(3)
            for pid in held:
                end(pid, signal.SIGCONT)
        else:
            case.shows_all_or_refuses()
            if what is None:
                case.orders("stop")  # It still holds files of the mount that is gone from the path.
            case.run(verb)
            case.orders("start")
        case.more_orders(20)
        if case.is_mounted() == (verb == "rollback"):
            raise Failed(f"after {verb} the mount is {'there' if case.is_mounted() else 'not there'}")
        if verb != "rollback":
            case.run("rollback")
            case.more_orders(20)
        case.close_shop()
    finally:
        case.clear()


def rollback_case(matrix):
    """The mount dies at a moment of the way back."""
    case = shop(matrix)
    try:
        case.run("encrypt")
        case.more_orders(50)
        held = its_server(case)
        child = case.start("rollback")
        time.sleep(matrix.chance.uniform(0.0, 1.5))
        for pid in held:
            end(pid)
        if child.wait(timeout=300) != OK:
            done = case.run("resume", expect=None)
            if case.is_mounted() or done.returncode != OK:
                done = case.run("rollback", expect=None)
            if done.returncode != OK:
                raise Failed(f"the way back is closed: {words_of(done)}")
        case.orders("start")
        case.more_orders(20)
        if case.is_mounted() or not os.path.isdir(case.data):
            raise Failed("it is still mounted")
        case.close_shop()
    finally:
        case.clear()
