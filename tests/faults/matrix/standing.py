"""What must not be confused: two at once, one directory by many names, wrong passphrases, and a journal or a plan that
somebody has been at."""
import os
import shutil
import subprocess

from .case import (BUSY, IN_USE, NEEDS_OPERATOR, NOT_MIGRATED, OK, WRONG_SECRET, Case, Failed, small, words_of)
from .space import held_back

REFUSED = (IN_USE, NOT_MIGRATED, BUSY)


def groups(matrix):
    yield "two", iter([
        ("twenty at once", lambda: twenty(matrix)),
        ("other names of the same, above and below", lambda: aliases(matrix)),
        ("two at once on the way back", lambda: twice_back(matrix)),
    ])
    yield "secrets", iter([
        ("wrong passphrase at resume", lambda: wrong_at(matrix, "resume")),
        ("wrong passphrase at rollback", lambda: wrong_at(matrix, "rollback")),
        ("wrong passphrase at finalize", lambda: wrong_at(matrix, "finalize")),
        ("wrong passphrase at decrypt", lambda: wrong_at(matrix, "decrypt")),
    ])
    yield "forged", ((f"{name}, then {verb}", lambda f=forge, v=verb: forged(matrix, f, v))
                     for verb, (name, forge) in matrix.share([(verb, item) for item in FORGERIES.items()
                                                              for verb in ("finalize", "rollback", "resume")], 6))


def twenty(matrix):
    case = Case(matrix.binary, matrix.within)
    try:
        children = [case.start("encrypt") for _ in range(20)]
        codes = [child.wait(timeout=300) for child in children]
        if codes.count(OK) != 1 or any(code not in (OK, *REFUSED) for code in codes):
            raise Failed(f"twenty at once ended with {sorted(codes)}: {case.said()}")
        case.is_whole(mounted=True)
        if len(os.listdir(os.path.join(case.state, "migrations"))) != 1:
            raise Failed("more than one has begun")
    finally:
        case.clear()


def aliases(matrix):
    """While one is under way, and after it, no other begins, whatever the directory is called."""
    case = Case(matrix.binary, matrix.within)
    try:
        link, bound, inner = case.path("link"), os.path.join(case.outside, "bound"), os.path.join(case.data, "many")
        os.symlink(case.data, link)
        os.mkdir(bound)
        child, postpone = held_back(case)
        refuses(case, [link, inner, case.at])
        os.unlink(postpone)
        if child.wait(timeout=300) != OK:
            raise Failed(f"the first was disturbed: {case.said()}")
        subprocess.run(["mount", "--bind", case.at, bound], check=True)
        refuses(case, [case.data, link, os.path.join(bound, "data"), inner, case.at])
        subprocess.run(["umount", "-l", bound], check=True)
        case.is_whole(mounted=True)
        again = case.data
        case.data = link  # It is found by its other name, too.
        case.run("rollback")
        case.data = again
        case.is_whole(mounted=False)
    finally:
        case.clear()


def refuses(case, names):
    for number, name in enumerate(names):
        words = case.command("encrypt")
        words[words.index(case.data)] = name
        words[words.index(case.vault)] = os.path.join(case.outside, f"vault {number}")
        words[words.index(case.path("recovery-key"))] = os.path.join(case.outside, f"key {number}")
        done = subprocess.run(words, env=case.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode not in REFUSED:
            raise Failed(f"as {name} it gave {done.returncode}: {words_of(done)}")


def twice_back(matrix):
    case = Case(matrix.binary, matrix.within)
    try:
        case.run("encrypt")
        children = [case.start(verb) for verb in ("rollback", "rollback", "finalize", "resume")]
        codes = [child.wait(timeout=300) for child in children]
        if case.is_mounted():
            if not os.path.exists(case.aside()) and codes[2] != OK:
                raise Failed(f"the originals are gone, but finalize gave {codes[2]}")
            case.is_whole(mounted=True)
        else:
            case.is_whole(mounted=False)
        if OK not in codes:
            raise Failed(f"none of them won: {codes}: {case.said()}")
    finally:
        case.clear()


def wrong_at(matrix, verb):
    case = Case(matrix.binary, matrix.within)
    try:
        if verb == "resume":
            until_it_copied(case)
        else:
            case.run("encrypt")
        if verb == "decrypt":
            case.run("finalize")
        mounted, before = case.is_mounted(), inventory(case)
        case.write("passphrase", "not it\n")
        done = case.run(verb, expect=None)
        if done.returncode != WRONG_SECRET:
            raise Failed(f"{verb} with a wrong passphrase gave {done.returncode}: {words_of(done)}")
        case.is_whole(mounted)
        if inventory(case) != before:
            raise Failed(f"something was made or removed: {before}, now {inventory(case)}")
        case.write("passphrase", "correct horse battery staple\n")
        case.run(verb)
        case.is_whole(mounted=verb in ("resume", "finalize"))
    finally:
        case.clear()


def inventory(case):
    return sorted(name for name in os.listdir(case.at) if not name.endswith((".mark", ".ballast")))


def until_it_copied(case):
    """Killed while the services run, with the vault made and part of the copy in it."""
    postpone = os.path.join(case.outside, "postpone")
    child, _ = held_back(case)
    child.kill()
    child.wait()
    os.unlink(postpone)


def flip_in(case, at):
    path = os.path.join(case.migration(), "journal")
    content = bytearray(open(path, "rb").read())
    content[int(len(content) * at)] ^= 4
    open(path, "wb").write(content)


def cut_off(case, keep):
    path = os.path.join(case.migration(), "journal")
    os.truncate(path, int(os.path.getsize(path) * keep))


def drop_middle(case):
    path = os.path.join(case.migration(), "journal")
    content = open(path, "rb").read()
    open(path, "wb").write(content[: len(content) // 3] + content[len(content) // 2 :])


def another_journal(case):
    """Authentic, but of another migration, with its key."""
    other = Case(case.binary, os.path.dirname(case.at), make=small(3))
    try:
        other.run("encrypt")
        for name in ("journal", "key"):
            shutil.copy(os.path.join(other.migration(), name), os.path.join(case.migration(), name))
    finally:
        other.clear()


def another_plan(case):
    """The plan names something else as what is to be erased."""
    path = os.path.join(case.migration(), "plan.json")
    victim = case.path("victim")
    os.makedirs(victim, exist_ok=True)
    open(os.path.join(victim, "precious"), "w").write("not to be touched")
    text = open(path).read().replace(case.aside(), victim)
    open(path, "w").write(text)


FORGERIES = {
    "a bit of the first record": lambda case: flip_in(case, 0.05),
    "a bit in the middle": lambda case: flip_in(case, 0.5),
    "a bit of the last record": lambda case: flip_in(case, 0.97),
    "the last third is gone": lambda case: cut_off(case, 0.66),
    "nothing is left": lambda case: cut_off(case, 0),
    "a piece is missing": drop_middle,
    "the journal of another": another_journal,
    "another plan": another_plan,
}


def forged(matrix, forge, verb):
    """Nothing is erased and nothing put back on the word of what was not written by the migration."""
    case = Case(matrix.binary, matrix.within, make=small(30))
    try:
        case.run("encrypt")
        aside, kept = case.aside(), os.path.join(case.outside, "kept")
        shutil.copytree(case.migration(), kept)
        forge(case)
        done = case.run(verb, expect=None)
        said = f"{verb} gave {done.returncode}: {words_of(done)}"
        if case.differences(of=aside) or not os.path.isdir(case.vault):
            raise Failed(f"the originals or the vault were touched: {said}")
        case.is_whole(mounted=True)
        victim = case.path("victim/precious")
        if os.path.isdir(case.path("victim")) and not os.path.exists(victim):
            raise Failed(f"something else was erased: {said}")
        # The torn end of what was being written when the power went is none of anybody's doing.
        if done.returncode != NEEDS_OPERATOR:
            raise Failed(said)
        place = case.migration()
        shutil.rmtree(place)
        shutil.copytree(kept, place)
        case.run("rollback")
        case.is_whole(mounted=False)
    finally:
        case.clear()

