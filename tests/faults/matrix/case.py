"""A tree, a service and a vault to be, in directories of their own, and what must be true of them whatever happens.

Judged by tests/oracle/trees, which shares no code with the product.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from .judge import ROOT, differences, listed, trees
from .trap import launched

ORDERS = os.path.join(ROOT, "scripts/demo/orders")
PATIENCE = 300
# Exit codes that are promised.
OK, WRONG_SECRET, IN_USE, DAMAGED, BUSY, NOT_MIGRATED, NEEDS_OPERATOR, WENT_BACK, PAUSED, NO_MIGRATION = 0, 3, 7, 11, 13, 19, 20, 21, 22, 23


class Failed(Exception):
    """Something is not as it must be."""


class NotHit(Exception):
    """All is as it must be, but the fault was never made: the call did not happen so often."""


class Case:
    """One migration. `orders`: the service is one that clients write to, instead of one that only runs. `make`: puts the
    tree into the directory; everything a file system can hold, by default, and `few` of what differs in nothing."""

    def __init__(self, binary, within, seed=1, orders=False, make=None, few=False):
        self.binary, self.at = binary, tempfile.mkdtemp(prefix="case-", dir=within)
        self.data, self.vault = self.path("data"), self.path("data.vault")
        self.outside = tempfile.mkdtemp(prefix="outside-")
        self.state, self.health, self.client = self.path("state"), [], None
        self.list, self.log = os.path.join(self.outside, "list"), os.path.join(self.outside, "acknowledged")
        self.was_missed, self.traps = False, []
        self.run_dir = os.path.join(self.outside, "run")
        os.mkdir(self.run_dir)
        if make:
            os.mkdir(self.data)
            make(self.data)
        else:
            os.mkdir(self.data)
            trees.Maker(self.data, seed, few).all()
        self.note()
        self.write("passphrase", "correct horse battery staple\n")
        self.orders_words = ["/usr/bin/env", f"ORDERS_RUN={self.run_dir}", f"ORDERS_DATA={self.data}", ORDERS]
        self.has_orders = orders
        self.configure()
        if not orders:
            open(os.path.join(self.run_dir, "running"), "w").close()

    def configure(self, stop="true"):
        """Writes the configuration; the service stops by `stop` and then as it always does."""
        running, log = os.path.join(self.run_dir, "running"), os.path.join(self.run_dir, "log")
        shell = lambda words: json.dumps(["/bin/sh", "-c", words])
        counter = "\n".join([f"start = {shell(f'echo start >>{log}; touch {running}')}",
                             f"stop = {shell(f'echo stop >>{log}; {stop}; rm -f {running}')}",
                             f"status = {shell(f'test -e {running} && exit 0; exit 3')}"])
        if self.has_orders:
            counter = "\n".join(f"{verb} = {json.dumps(self.orders_words + [verb])}" for verb in ("start", "stop", "status"))
        self.write("strongroom.toml", f"""
[vault]
scrypt_log_n = 10

[[service]]
name = "counter"
{counter}

[[service]]
name = "idle"
start = {shell(f"echo started-what-did-not-run >>{log}")}
stop = {shell(f"echo stop-idle >>{log}")}
status = {shell("exit 3")}

[[health]]
name = "ping"
command = {json.dumps(self.orders_words + ["ping"] if self.has_orders else ["/bin/true"])}
""")

    def note(self):
        """What is there now is what has to be there."""
        listed(self.data, self.list)

    def path(self, name):
        return os.path.join(self.at, name)

    def write(self, name, text):
        with open(os.open(os.path.join(self.outside, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(text)

    def command(self, verb, *more):
        own = {
            "encrypt": ["--vault", self.vault, "--service", "command:counter", "--service", "command:idle",
                        *([] if "--backup-to" in more else ["--no-backup"]), *self.health,
                        "--boot", "manual", "--recovery-key-file", self.path("recovery-key")],
            "decrypt": ["--service", "command:counter", "--service", "command:idle", "--no-backup"],
            "finalize": ["--accept", "erase-grade-c"],
        }
        words = [self.binary, "migrate", verb, self.data, *own.get(verb, []), "--state-dir", self.state]
        if verb not in ("status", "recover"):
            words += ["--passphrase-file", os.path.join(self.outside, "passphrase")]
        if verb not in ("status", "recover", "verify"):
            words += ["--yes"]
        return words + list(more)

    def environment(self):
        return {**os.environ, "STRONGROOM_CONFIG": os.path.join(self.outside, "strongroom.toml"),
                "STRONGROOM_RUNTIME_DIR": os.path.join(self.outside, "runtime"),
                "STRONGROOM_AUDIT_DIR": os.path.join(self.outside, "audit")}

    def run(self, verb, *more, wrapped=(), trapped=None, expect=OK):
        """Runs it to its end. `expect`: an exit code, several, or None for whatever comes. `trapped`: the call, the how manieth
        of it, and the signal that it gets there."""
        if verb == "encrypt" and not os.path.exists(os.path.join(self.vault, "gocryptfs.conf")):
            # A key that was written for a vault which never came to be.
            forget(self.path("recovery-key"))
        child, trap = launched([*wrapped, *self.command(verb, *more)], trapped, env=self.environment(), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise
        finally:
            trap.close() if trap else None
        done = subprocess.CompletedProcess(child.args, child.returncode, out, err)
        allowed = expect if isinstance(expect, (tuple, list, set)) else (expect,)
        if expect is not None and done.returncode not in allowed:
            raise Failed(f"migrate {verb} gave {done.returncode}, not {expect}: {words_of(done)}")
        return done

    def hit(self, verb, call, number):
        """Runs it until it is killed at the so-manieth call of this name that its main thread makes."""
        done = self.run(verb, trapped=(call, number, signal.SIGKILL), expect=None)
        self.was_missed |= done.returncode != -signal.SIGKILL
        self.shows_all_or_refuses(between=call)

    def hit_again(self, call, number):
        """Resumes, and is killed there, if it comes so far."""
        self.run("resume", trapped=(call, number, signal.SIGKILL), expect=None)
        self.shows_all_or_refuses(between=call)

    def start(self, verb, *more, wrapped=(), trapped=None):
        """Runs it in the background."""
        child, trap = launched([*wrapped, *self.command(verb, *more)], trapped, env=self.environment(),
                               stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.outside, "said"), "a"))
        self.traps += [trap] if trap else []
        return child

    def said(self):
        return open(os.path.join(self.outside, "said")).read()[-600:]

    def has_begun(self):
        return os.path.isdir(os.path.join(self.state, "migrations")) and bool(os.listdir(os.path.join(self.state, "migrations")))

    def status(self):
        done = subprocess.run([self.binary, "--json", *self.command("status")[1:]], env=self.environment(), capture_output=True,
                              text=True, timeout=PATIENCE)
        migrations = json.loads(done.stdout).get("migrations") if done.returncode == OK else None
        return migrations[-1] if migrations else None

    def migration(self):
        """The directory of the last one's state."""
        return os.path.join(self.state, "migrations", sorted(os.listdir(os.path.join(self.state, "migrations")))[-1])

    def aside(self):
        """The originals, behind the fence."""
        return json.load(open(os.path.join(self.migration(), "plan.json")))["aside"]

    def is_mounted(self):
        return any(line.split()[4] == self.data for line in open("/proc/self/mountinfo"))

    def runs(self):
        if self.has_orders:
            return self.orders("status", check=False).returncode == 0
        return os.path.exists(os.path.join(self.run_dir, "running"))

    def never_started_the_idle(self):
        try:
            return "started-what" not in open(os.path.join(self.run_dir, "log")).read()
        except FileNotFoundError:
            return True

    def differences(self, of=None):
        return differences(self.list, of or self.data)

    def shows_all_or_refuses(self, between=None):
        """I3: the whole data, or an empty directory in which nothing can be made, or a mount that is dead. `between`: the call
        that was not made. There are two instants between two calls that cannot be helped, and of which nothing may remain."""
        try:
            names = os.listdir(self.data)
        except OSError:
            return
        if names:
            differences = None if self.has_orders else self.differences()
            if differences and not (between in ("unlink", "utimensat") and self.is_tried(differences)):
                raise Failed(f"the path shows something else: {differences}")
            return
        try:
            probe = os.path.join(self.data, "probe")
            os.close(os.open(probe, os.O_CREAT | os.O_WRONLY))
            os.unlink(probe)
        except OSError:
            return
        if between not in ("ioctl", "renameat2", "power"):
            raise Failed("the path is empty, and something could be made in it")
        # What is immutable cannot be renamed: between the exchange and the flag, root can write there; nobody else can.
        info = os.stat(self.data)
        if (info.st_mode & 0o777, info.st_uid) != (0o500, 0):
            raise Failed(f"the path is empty, and others than root can write there: {info}")

    @staticmethod
    def is_tried(differences):
        """The mount was just tried with a file, before it was committed to: nothing else is different."""
        return all(line.startswith((".strongroom-probe-", ": mtime is")) for line in differences.splitlines())

    def is_whole(self, mounted):
        if self.is_mounted() != mounted:
            raise Failed(f"mounted: {self.is_mounted()}, wanted {mounted}")
        differences = None if self.has_orders else self.differences()
        if differences:
            raise Failed(f"not the same: {differences}")
        if not self.runs():
            raise Failed("the service that ran does not run")
        if not self.never_started_the_idle():
            raise Failed("a service was started that did not run")

    def orders(self, *verb, check=True):
        done = subprocess.run([*self.orders_words, *verb], capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise Failed(f"orders {verb[0]}: {(done.stderr or done.stdout).strip()}")
        return done

    def open_shop(self):
        """The service runs, and a client orders without an end."""
        self.orders("start")
        self.client = subprocess.Popen([*self.orders_words, "write", self.log])
        self.more_orders(20)

    def acknowledged(self):
        return sum(1 for _ in open(self.log)) if os.path.exists(self.log) else 0

    def more_orders(self, count):
        wanted = self.acknowledged() + count
        until(lambda: self.acknowledged() >= wanted, "orders are acknowledged again", 120)

    def close_shop(self):
        """The client ends, and everything that was acknowledged to it is there."""
        open(self.log + ".stop", "w").close()
        self.client.wait(timeout=70)
        self.orders("status")
        self.orders("check", self.data, self.log)

    def clear(self):
        for trap in self.traps:
            trap.close()
        if self.client and self.client.poll() is None:
            self.client.kill()
            self.client.wait()
        if self.has_orders:
            self.orders("stop", check=False)
        if self.is_mounted():
            subprocess.run([self.binary, "umount", self.data], capture_output=True)
        unmount_below(self.at)
        unmount_below(self.outside)
        end_servers(self)
        subprocess.run(["chattr", "-R", "-f", "-i", self.at], capture_output=True)
        shutil.rmtree(self.at, ignore_errors=True)
        shutil.rmtree(self.outside, ignore_errors=True)


def small(count=40, size=20000, large=0):
    """Makes a tree of plain files, for where it is the fault that matters: `count` of `size`, and one of `large`."""
    def make(root):
        for number in range(count):
            place = os.path.join(root, f"place {number % 7}")
            os.makedirs(place, exist_ok=True)
            with open(os.path.join(place, f"file {number}"), "wb") as out:
                out.write(os.urandom(size))
        if large:
            with open(os.path.join(root, "large"), "wb") as out:
                for _ in range(large >> 20):
                    out.write(os.urandom(1 << 20))
    return make


def words_of(done):
    """What a command said last, without the plan before it."""
    lines = (done.stderr + done.stdout).strip().splitlines()
    said = [line for line in lines if line.startswith("strongroom:") and not line.startswith("strongroom: warning:")]
    return " | ".join(said[-3:] or lines[-3:])


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"in {seconds} s it did not happen that {what}")
        time.sleep(0.03)


def servers(case, word=None):
    """The processes of the program that have to do with the case, by what is in their arguments."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{pid}/cmdline").read().split("\0")
        except OSError:
            continue
        is_ours = words[0] and os.path.basename(words[0]) == os.path.basename(case.binary)
        if is_ours and any(case.at in one for one in words) and (word is None or word in words):
            found.append(int(pid))
    return found


def end_servers(case):
    """The power is off for everybody: processes that serve a mount of the case end too."""
    for pid in servers(case):
        end(pid)


def end(pid, what=signal.SIGKILL):
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass


def forget(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def unmount_below(directory):
    for line in reversed(open("/proc/self/mountinfo").read().splitlines()):
        if line.split()[4].startswith(directory + "/"):
            subprocess.run(["umount", "-l", line.split()[4]], capture_output=True)
