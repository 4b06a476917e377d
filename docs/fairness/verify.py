#!/usr/bin/env python3
"""Verifies the evidence of a Fairground raffle, with nothing but the standard library. See README.md beside it."""
import hashlib, hmac, json, sys

failed = []
fail = lambda id, reason: failed.append({"id": str(id), "reason": reason})
sha = lambda data: hashlib.sha256(data).digest()
u64 = lambda n: n.to_bytes(8, "big", signed=n < 0)
fields = lambda *parts: b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def below(seed, epoch, pseudonym, number, client_seed, total):
    width, counter = 2**64 // total, 0
    while True:
        message = fields(epoch.encode(), pseudonym, u64(number), client_seed.encode(), counter.to_bytes(4, "big"))
        integer = int.from_bytes(hmac.digest(seed, message, "sha256")[:8], "big") // width
        if integer < total:
            return integer
        counter += 1


def pool_of(rules, line, number):
    denied, tiers = rules["denied"], rules["tiers"]
    if denied and line["pseudonym"] in denied["pseudonyms"]:
        return [[denied["prize"], 1]]
    metric = tiers and (number if tiers["metric"] == "draws_made" else line["points_spent"])
    if metric is not None:
        for tier in reversed(tiers["pools"]):
            if metric == tier["threshold"] or (tiers["mode"] == "at_least" and metric > tier["threshold"]):
                return tier["pool"]
    return rules["base"]


def take(rules, stock, prize):
    if rules["prizes"][prize]["unlimited"]:
        return prize
    if prize in stock["frozen"] or stock["free"].get(prize, 0) == 0:
        return None
    stock["free"][prize] -= 1
    return prize


def walk(rules, stock, prize, completed, today):
    tree = rules["trees"].get(rules["prizes"][prize]["tree"])
    node = tree and tree["nodes"][tree["start"]]
    while node:
        if node["kind"] == "fallback":
            return take(rules, stock, node["prize"])
        if node["kind"] == "stock":
            if take(rules, stock, prize):
                return prize
            following = node["empty"]
        else:
            is_open = (today if node["per"] == "day" else completed) >= node["after"]
            following = node["open" if is_open else "locked"]
            if following is None and is_open:
                return take(rules, stock, prize)
        if following is None:
            return None
        node = tree["nodes"][following]
    return take(rules, stock, prize)


def main(file):
    head = json.loads(file.readline())
    epochs, rules = {epoch["epoch"]: epoch for epoch in head["epochs"]}, {}
    for n, e in epochs.items():
        text = head["versions"][str(e["version"])]
        rules[n] = json.loads(text)
        if sha(bytes.fromhex(e["seed"])).hex() != e["seed_hash"] or sha(text.encode()).hex() != e["rules_hash"]:
            fail(f"epoch {n}", "the seed or the rules are not those that were committed to")
    seq, log, is_open, counts, people = 0, bytes(32), None, {"verified": 0, "attested": 0}, {}
    stock = {"free": {}, "frozen": set()}
    for line in map(json.loads, file):
        id, before = line.get("draw", line["seq"]), len(failed)
        if line["seq"] != (seq := seq + 1):
            fail(id, f"entry {line['seq']} stands where entry {seq} should")
        if "event" in line:
            log = sha(log + sha(fields(b"event", u64(line["seq"]), u64(line["at_ms"]), line["event"].encode(), line["prize"].encode(), u64(line["units"]), u64(line["epoch"]), u64(line["version"]), bytes.fromhex(line["rules_hash"]), bytes.fromhex(line["seed_hash"]), line["reason"].encode())))
            e = epochs.get(line["epoch"], {})
            if line["event"] == "moved":
                stock["free"][line["prize"]] = stock["free"].get(line["prize"], 0) + line["units"]
            elif line["event"] in ("frozen", "thawed"):
                (stock["frozen"].add if line["event"] == "frozen" else stock["frozen"].discard)(line["prize"])
            elif line["event"] == "opened":
                is_open = line["epoch"]
                if [e.get(k) for k in ("seed_hash", "rules_hash", "version", "first")] != [line["seed_hash"], line["rules_hash"], line["version"], line["seq"]]:
                    fail(id, "the epoch was opened with other commitments")
            elif (is_open, e.get("last"), e.get("log")) != (line["epoch"], line["seq"], log.hex()):
                fail(id, "the log is not the one whose hash was published")
            continue
        r, e, who = rules[line["epoch"]], epochs[line["epoch"]], bytes.fromhex(line["pseudonym"])
        person = people.setdefault(line["pseudonym"], {"number": 0, "day": None, "today": 0, "chain": bytes(32)})
        today = person["today"] if person["day"] == line["day"] else 0
        points = b"" if line["points_spent"] is None else u64(line["points_spent"])
        digest = sha(fields(b"draw", u64(line["seq"]), u64(line["epoch"]), who, u64(line["number"]), u64(line["at_ms"]), u64(line["day"]), line["client_seed"].encode(), points, (line["prize"] or "").encode()))
        log, chain, number = sha(log + digest), sha(person["chain"] + digest), person["number"] + 1
        pool = pool_of(r, line, number)
        integer = below(bytes.fromhex(e["seed"]), f"{head['tenant']}/{head['raffle']}/{line['epoch']}", who, number, line["client_seed"], sum(weight for _, weight in pool))
        rest, candidate = integer, iter(pool)
        while rest >= (entry := next(candidate))[1]:
            rest -= entry[1]
        prize = None if entry[0] == "-" else walk(r, stock, entry[0], person["number"], today)
        people[line["pseudonym"]] = {"number": number, "day": line["day"], "today": today + 1, "chain": chain}
        if (number, integer, prize, chain.hex(), is_open) != (line["number"], line["integer"], line["prize"], line["chain"], line["epoch"]) or "" in stock["frozen"]:
            fail(id, f"the rules give draw {number}, integer {integer}, prize {prize}")
        elif len(failed) == before:
            counts["verified" if line["points_spent"] is None else "attested"] += 1
    if seq != max(e["last"] for e in epochs.values()):
        fail("log", "it does not end with the last epoch")
    print(json.dumps({**counts, "failed": failed}))
    return 1 if failed else 0


sys.exit(main(open(sys.argv[1], encoding="utf-8")))
