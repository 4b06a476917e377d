"""Verifies the evidence of a Fairground raffle, with nothing but the standard library. See README.md beside it."""
import hashlib, hmac, itertools, json, sys
failed, fail = [], lambda id, reason: failed.append({"id": str(id), "reason": reason})
sha = lambda data: hashlib.sha256(data).digest()
u64 = lambda n: n.to_bytes(8, "big", signed=n < 0)
fields = lambda *parts: b"".join(len(part).to_bytes(4, "big") + part for part in parts)

def below(seed, epoch, pseudonym, number, client_seed, total):
    for counter in itertools.count():
        message = fields(epoch.encode(), pseudonym, u64(number), client_seed.encode(), counter.to_bytes(4, "big"))
        if (integer := int.from_bytes(hmac.digest(seed, message, "sha256")[:8], "big") // (2**64 // total)) < total:
            return integer

def pool_of(rules, line, number):
    denied, tiers = rules["denied"], rules["tiers"]
    if denied and line["pseudonym"] in denied["pseudonyms"]:
        return [[denied["prize"], 1]]
    metric = tiers and (number if tiers["metric"] == "draws_made" else line["points_spent"])
    for tier in reversed(tiers["pools"]) if metric is not None else ():
        if metric == tier["threshold"] or (tiers["mode"] == "at_least" and metric > tier["threshold"]):
            return tier["pool"]
    return rules["base"]

def take(rules, stock, prize):
    if not rules["prizes"][prize]["unlimited"]:
        if prize in stock["frozen"] or stock["free"].get(prize, 0) == 0:
            return None
        stock["free"][prize] -= 1
    return prize

def walk(rules, stock, prize, completed, today):
    at = (tree := rules["trees"].get(rules["prizes"][prize]["tree"])) and tree["start"]
    while at:
        node = tree["nodes"][at]
        if node["kind"] == "fallback":
            return take(rules, stock, node["prize"])
        if node["kind"] == "unlock":
            is_open = (today if node["per"] == "day" else completed) >= node["after"]
            at = node["open"] if is_open else node["locked"]
            if not (at or is_open):
                return None
        elif take(rules, stock, prize):
            return prize
        elif not (at := node["empty"]):
            return None
    return take(rules, stock, prize)

def main(file):
    head = json.loads(file.readline())
    epochs, rules = {epoch["epoch"]: epoch for epoch in head["epochs"]}, {}
    for n, e in epochs.items():
        rules[n] = json.loads(text := head["versions"][str(e["version"])])
        if sha(bytes.fromhex(e["seed"])).hex() != e["seed_hash"] or sha(text.encode()).hex() != e["rules_hash"]:
            fail(f"epoch {n}", "the seed or the rules are not those that were committed to")
    seq, log, is_open, people, counts = 0, bytes(32), None, {}, {"verified": 0, "attested": 0}
    stock = {"free": {}, "frozen": set()}
    for line in map(json.loads, file):
        id, before, get = line.get("draw", line["seq"]), len(failed), lambda *keys: [line[key] for key in keys]
        if line["seq"] != (seq := seq + 1):
            fail(id, f"entry {line['seq']} stands where entry {seq} should")
        e = epochs.get(line["epoch"], {})
        if "event" in line:
            event, prize, units = get("event", "prize", "units")
            hashes = map(bytes.fromhex, get("rules_hash", "seed_hash"))
            body = [event.encode(), prize.encode(), *map(u64, get("units", "epoch", "version")), *hashes]
            log = sha(log + sha(fields(b"event", *map(u64, get("seq", "at_ms")), *body, line["reason"].encode())))
            if event == "moved":
                stock["free"][prize] = stock["free"].get(prize, 0) + units
            elif event in ("frozen", "thawed"):
                stock["frozen"] ^= {prize}
            elif event == "opened":
                is_open = line["epoch"]
                if e and [*get("seed_hash", "rules_hash"), seq] != [e["seed_hash"], e["rules_hash"], e["first"]]:
                    fail(id, "the epoch was opened with other commitments")
            else:
                if (is_open, e.get("last"), e.get("log")) != (line["epoch"], line["seq"], log.hex()):
                    fail(id, "the log is not the one whose hash was published")
                is_open = None
            continue
        who, told = bytes.fromhex(line["pseudonym"]), get("number", "integer", "prize", "chain", "epoch")
        number, day, today, chain = people.get(who, (0, None, 0, bytes(32)))
        today, points = today if day == line["day"] else 0, line["points_spent"]
        body = [line["client_seed"].encode(), b"" if points is None else u64(points), (line["prize"] or "").encode()]
        body = [u64(seq), id.encode(), u64(line["epoch"]), who, *map(u64, get("number", "at_ms", "day")), *body]
        digest = sha(fields(b"draw", *body))
        log, chain, name = sha(log + digest), sha(chain + digest), f"{head['tenant']}/{head['raffle']}/{line['epoch']}"
        pool = pool_of(rules[line["epoch"]], line, number + 1)
        rest = integer = below(bytes.fromhex(e["seed"]), name, who, number + 1, line["client_seed"], sum(w for _, w in pool))
        candidate = next(prize for prize, weight in pool if (rest := rest - weight) < 0)
        prize = None if candidate == "-" else walk(rules[line["epoch"]], stock, candidate, number, today)
        people[who] = (number + 1, line["day"], today + 1, chain)
        if [number + 1, integer, prize, chain.hex(), is_open] != told or "" in stock["frozen"]:
            fail(id, f"replayed, it is draw {number + 1}: integer {integer}, prize {prize}")
        counts["verified" if points is None else "attested"] += len(failed) == before
    if seq != max((e["last"] for e in epochs.values()), default=-1):
        fail("log", "it does not end with the last epoch")
    return print(json.dumps({**counts, "failed": failed})) or int(bool(failed))

sys.exit(main(open(sys.argv[1], encoding="utf-8")))
