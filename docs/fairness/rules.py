"""How a raffle's published rules decide a draw, in whole numbers only. See README.md beside it."""
import bisect, datetime

GIVES = {"open", "yes", "due", "reached"}


def month(day):
    """The calendar month of a local day: what stands before the day of the month."""
    return str(datetime.date(1970, 1, 1) + datetime.timedelta(days=day))[:7]


class Person:
    """What a participant did before."""

    def __init__(self):
        self.number, self.day, self.today, self.month, self.this_month, self.chain = 0, None, 0, None, 0, bytes(32)
        self.wins, self.last_win, self.paces, self.promised = {}, None, {}, None

    def pace(self, seconds, now):
        tenth = now // (seconds * 100)
        at, counts = self.paces.get(seconds, (tenth, [0] * 11))
        return (at, counts) if at >= tenth else (tenth, ([0] * min(tenth - at, 11) + counts)[:11])

    def counts_on(self, day):
        """The day that a draw counts on: a clock that is set back brings no used day back."""
        return day if self.day is None else max(self.day, day)

    def complete(self, rules, line, prize, promised):
        day = self.counts_on(line["day"])
        if self.day != day:
            self.today, self.wins = 0, {id: (total, 0, last) for id, (total, _, last) in self.wins.items()}
        self.number, self.day, self.today = self.number + 1, day, self.today + 1
        before, self.month = self.month, month(day)
        self.this_month = 1 if before != self.month else self.this_month + 1
        for seconds in {rule["seconds"] for rule in rules["eligibility"] if rule["kind"] == "velocity"}:
            tenth, counts = self.pace(seconds, line["at_ms"])
            self.paces[seconds] = (tenth, [counts[0] + 1] + counts[1:])
        self.promised = None if promised else self.promised
        if prize is not None:
            total, today, _ = self.wins.get(prize, (0, 0, 0))
            self.wins[prize] = (total + 1, today + 1, self.number)
            self.last_win = self.last_win if rules["prizes"][prize]["consolation"] else line["at_ms"]


class Draw:
    """One draw: `decide` gives the integer that the rules take and the prize that they give."""

    def __init__(self, rules, stock, person, line, told):
        self.rules, self.stock, self.person, self.line, self.told = rules, stock, person, line, told
        self.day, self.now, self.kept_away = person.counts_on(line["day"]), line["at_ms"], False
        self.new_day = person.day != self.day

    def free(self, item):
        return 0 if item in self.stock["frozen"] else self.stock["free"].get(item, 0)

    def refused(self):
        quota, rules, person = self.rules["tickets"], self.rules, self.person
        if not (rules["from_ms"] or self.now) <= self.now < (rules["until_ms"] or self.now + 1):
            return "outside its window"
        for rule in rules["eligibility"]:
            if rule["kind"] == "velocity":
                if sum(person.pace(rule["seconds"], self.now)[1]) >= rule["draws"]:
                    return "too often"
            elif rule["kind"] == "attribute":
                if self.told.get("attributes", {}).get(rule["attribute"]) not in rule["one_of"]:
                    return "not in the audience"
            elif (self.line["pseudonym"] in rule["participants"]) != (rule["kind"] == "allow_list"):
                return "kept away by a list"
        today = 0 if self.new_day else person.today
        this_month = person.this_month if person.month == month(self.day) else 0
        uses = [(person.number, "total"), (today, "per_day"), (this_month, "per_month")]
        for used, limit in [(used, quota.get(per)) for used, per in uses]:
            if limit is not None and used >= limit:
                return "without a ticket"
        budget, dearest = rules["budget"], max(prize["cost"] for prize in rules["prizes"].values())
        return "beyond the budget" if budget and budget["when_spent"] == "stop" and self.free("$budget") < dearest else None

    def obstacle(self, id):
        prize, who, cap = self.rules["prizes"][id], self.line["pseudonym"], self.rules["prizes"][id]["cap"]
        if who in prize["never_for"] or (prize["only_for"] is not None and who not in prize["only_for"]):
            return True
        total, today, _ = self.person.wins.get(id, (0, 0, 0))
        if cap and (total if cap["per"] == "campaign" else 0 if self.new_day else today) >= cap["wins"]:
            return True
        interval = self.rules["win_interval_seconds"]
        if interval and not prize["consolation"] and self.person.last_win is not None:
            if self.now - self.person.last_win < interval * 1000:
                return True
        if not prize["unlimited"]:
            if self.free(id) == 0:
                return True
            if release := prize["release"]:
                daily, first = release["every_day"] or (0, 0)
                units = daily * max(self.line["day"] - first + 1, 0)
                units += sum(more for at, more in release["slots"] if at <= self.now)
                if self.stock["granted"].get(id, 0) >= units:
                    return True
        return bool(self.rules["budget"]) and 0 < prize["cost"] and self.free("$budget") < prize["cost"]

    def take(self, id):
        self.kept_away = self.obstacle(id)
        if self.kept_away:
            return None
        prize = self.rules["prizes"][id]
        for item, units in [("$budget", prize["cost"] if self.rules["budget"] else 0), (id, 0 if prize["unlimited"] else 1)]:
            if units:
                self.stock["free"][item] -= units
                self.stock["granted"][item] = self.stock["granted"].get(item, 0) + units
        return id

    def pool(self):
        denied, tiers = self.rules["denied"], self.rules["tiers"]
        if denied and self.line["pseudonym"] in denied["pseudonyms"]:
            return [[denied["prize"], 1]]
        counted = {"draws_made": self.person.number + 1}
        metric = tiers and {**self.told.get("metrics", {}), **counted}.get(tiers["metric"])
        for tier in reversed(tiers["pools"]) if metric is not None else ():
            if metric == tier["threshold"] or (tiers["mode"] == "at_least" and metric > tier["threshold"]):
                return tier["pool"]
        return self.rules["base"]

    def word(self, node):
        person, kind = self.person, node["kind"]
        if kind == "unlock":
            today = 0 if self.new_day else person.today
            return "open" if (today if node["per"] == "day" else person.number) >= node["after"] else "locked"
        if kind == "attribute":
            return "yes" if self.told.get("attributes", {}).get(node["attribute"]) in node["one_of"] else "no"
        if kind == "pity":
            waited = person.number - person.wins.get(node["prize"], (0, 0, 0))[2]
            return "due" if waited >= node["after"] else "not_due"
        return "reached" if person.number + 1 in node["draws"] else "missed"

    def walk(self, candidate):
        name = self.rules["prizes"][candidate]["tree"] if candidate else self.rules["no_win_tree"]
        if not name:
            return candidate and self.take(candidate)
        tree, word = self.rules["trees"][name], "open"
        at, steps = tree["start"], 0
        while at and steps < len(tree["nodes"]):
            node, steps = tree["nodes"][at], steps + 1
            if node["kind"] == "fallback":
                return self.take(node["prize"])
            if node["kind"] == "stock":
                if candidate and self.take(candidate):
                    return candidate
                word, self.kept_away = "empty", True
            else:
                word, self.kept_away = self.word(node), False
            at = node["next"].get(word)
        return self.take(candidate) if candidate and not at and word in GIVES else None

    def decide(self, chance):
        promised, policy = self.person.promised, self.rules["exhausted"]
        if promised in self.rules["prizes"] and self.rules["guaranteed_winners"] == "allowed":
            if not self.obstacle(promised):
                return 0, self.take(promised), True
        pool = self.pool()
        if policy["policy"] == "renormalise":
            pool = [entry for entry in pool if entry[0] == "-" or not self.obstacle(entry[0])]
        sums = [sum(weight for _, weight in pool[:n + 1]) for n in range(len(pool))]
        integer = chance(sums[-1]) if sums else 0
        candidate = pool[bisect.bisect_right(sums, integer)][0] if sums else "-"
        prize = self.walk(None if candidate == "-" else candidate)
        if prize is None and self.kept_away and policy["policy"] == "fallback":
            prize = self.take(policy["prize"])
        return integer, prize, False
