"""What became of each case, in a file of one JSON object a line, so that a run that was cut off can go on."""
import collections
import json
import os


class Record:
    """`path`: where it is kept, and what is there already is known; None keeps nothing."""

    def __init__(self, path):
        self.cases, self.points, self.out = {}, {}, None
        if path is None:
            return
        if os.path.exists(path):
            for line in open(path):
                # The last line may be cut off: its case is run again.
                if line.endswith("\n"):
                    self.learn(json.loads(line))
        self.out = open(path, "a")

    def learn(self, entry):
        if "verb" in entry:
            self.points[entry["verb"]] = [tuple(point) for point in entry["points"]]
        else:
            self.cases[entry["group"], entry["case"]] = entry

    def keep(self, entry):
        self.learn(entry)
        if self.out:
            print(json.dumps(entry), file=self.out, flush=True)

    def found(self, verb, points):
        """The calls at which this command can be killed: the same in every run with this record."""
        self.keep({"verb": verb, "points": points})

    def add(self, group, case, outcome, seconds, why):
        entry = {"group": group, "case": case, "outcome": outcome, "seconds": round(seconds, 1)}
        self.keep({**entry, "why": why} if why else entry)

    def is_well(self, group, case):
        return self.cases.get((group, case), {}).get("outcome") in ("passed", "not hit")

    def table(self):
        """In Markdown: each group with how its cases came out, as they did the last time they were run."""
        counts, seconds = collections.Counter(), collections.Counter()
        for (group, _), entry in self.cases.items():
            counts[group, entry["outcome"]] += 1
            seconds[group] += entry["seconds"]
        lines = ["| group | cases | passed | failed | not hit | seconds |", "|---|---:|---:|---:|---:|---:|"]
        for group, took in seconds.items():
            outcomes = [counts[group, outcome] for outcome in ("passed", "failed", "not hit")]
            lines.append(" | ".join(map(str, [f"| {group}", sum(outcomes), *outcomes, f"{took:.0f} |"])))
        return "\n".join(lines)
