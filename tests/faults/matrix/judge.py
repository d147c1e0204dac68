"""What is in a tree, and whether it is the same, by tests/oracle/trees: in this process, since starting it for each look would
take longer than the look."""
import importlib.util
import json
import os
import shlex
import sys
from importlib.machinery import SourceFileLoader

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
ORACLE = os.path.join(ROOT, "tests/oracle/trees")
# For a shell.
JUDGE = shlex.join([sys.executable, ORACLE])
loader = SourceFileLoader("trees", ORACLE)
trees = importlib.util.module_from_spec(importlib.util.spec_from_loader("trees", loader))
loader.exec_module(trees)


def listed(directory, path):
    """Writes down what is there, for `differences`."""
    with open(path, "w") as out:
        for name, fact in trees.describe(directory).items():
            print(json.dumps({"path": name, **fact}), file=out)


def differences(path, directory):
    """In what the directory is not what was written down, or why that cannot be seen; None if it is the same."""
    try:
        return "\n".join(list(trees.differences(trees.load(path), trees.describe(directory)))[:40]) or None
    except OSError as error:
        return str(error)
