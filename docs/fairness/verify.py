"""Verifies the evidence of a Fairground raffle, with nothing but the standard library. See README.md beside it."""
import hashlib, hmac, itertools, json, sys
from rules import Draw, Person

failed, fail = [], lambda id, reason: failed.append({"id": str(id), "reason": reason})
sha = lambda data: hashlib.sha256(data).digest()
u64 = lambda n: n.to_bytes(8, "big", signed=n < 0)
fields = lambda *parts: b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def below(seed, epoch, pseudonym, number, client_seed, total):
    for counter in itertools.count():
        message = fields(epoch.encode(), pseudonym, u64(number), client_seed.encode(), counter.to_bytes(4, "big"))
        if (integer := int.from_bytes(hmac.digest(seed, message, "sha256")[:8], "big") // (2**64 // total)) < total:
            return integer


def main(file):
    head = json.loads(file.readline())
    epochs, rules = {epoch["epoch"]: epoch for epoch in head["epochs"]}, {}
    for n, e in epochs.items():
        rules[n] = json.loads(text := head["versions"][str(e["version"])])
        if sha(bytes.fromhex(e["seed"])).hex() != e["seed_hash"] or sha(text.encode()).hex() != e["rules_hash"]:
            fail(f"epoch {n}", "the seed or the rules are not those that were committed to")
    seq, log, is_open, people, counts = 0, bytes(32), None, {}, {"verified": 0, "attested": 0}
    stock = {"free": {}, "granted": {}, "frozen": set()}
    for line in map(json.loads, file):
        id, before, get = line.get("draw", line["seq"]), len(failed), lambda *keys: [line[key] for key in keys]
        if line["seq"] != (seq := seq + 1):
            fail(id, f"entry {line['seq']} stands where entry {seq} should")
        e, who = epochs.get(line["epoch"], {}), bytes.fromhex(line["pseudonym"])
        person = people.setdefault(who, Person())
        if "event" in line:
            event, prize, units = get("event", "prize", "units")
            hashes = map(bytes.fromhex, get("rules_hash", "seed_hash", "pseudonym"))
            body = [event.encode(), prize.encode(), *map(u64, get("units", "epoch", "version")), *hashes]
            log = sha(log + sha(fields(b"event", *map(u64, get("seq", "at_ms")), *body, line["reason"].encode())))
            if event == "moved":
                stock["free"][prize] = stock["free"].get(prize, 0) + units
            elif event == "promised":
                person.promised = prize
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
        body = [*map(str.encode, get("client_seed", "attested")), (line["prize"] or "").encode()]
        body = [u64(seq), id.encode(), u64(line["epoch"]), who, *map(u64, get("number", "at_ms", "day")), *body]
        digest = sha(fields(b"draw", *body))
        log, person.chain = sha(log + digest), sha(person.chain + digest)
        name, number = f"{head['tenant']}/{head['raffle']}/{line['epoch']}", person.number + 1
        draw = Draw(rules[line["epoch"]], stock, person, line, json.loads(line["attested"] or "{}"))
        chance = lambda total: below(bytes.fromhex(e["seed"]), name, who, number, line["client_seed"], total)
        refused = draw.refused() or ("while all is frozen" if "" in stock["frozen"] else None)
        integer, prize, promised = draw.decide(chance)
        person.complete(draw.rules, line, prize, promised)
        told = get("number", "integer", "prize", "chain", "epoch")
        if refused or [number, integer, prize, person.chain.hex(), is_open] != told:
            fail(id, f"it was made {refused}" if refused else f"replayed, it is draw {number}: {integer}, prize {prize}")
        counts["attested" if line["attested"] else "verified"] += len(failed) == before
    if seq != max((e["last"] for e in epochs.values()), default=-1):
        fail("log", "it does not end with the last epoch")
    return print(json.dumps({**counts, "failed": failed})) or int(bool(failed))


sys.exit(main(open(sys.argv[1], encoding="utf-8")))
