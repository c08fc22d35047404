#!/usr/bin/env python3
"""What a team would write in Python, and the same tuned: parse → find the element → JSON → schema → decide in memory.

Usage: tests/load/plain.py CORPUS [ROUNDS]    on one core: taskset -c 0

Needs, from PyPI: beautifulsoup4 lxml jsonschema fastjsonschema.
"""
import email, email.policy, json, pathlib, statistics, sys, time

import bs4, fastjsonschema, jsonschema, lxml.html

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "schema/incident-data.schema.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
COMPILED = fastjsonschema.compile(SCHEMA)


def html_of(raw):
    body = email.message_from_bytes(raw, policy=email.policy.default).get_body(("html",))
    return body.get_content() if body else ""


def plain(raw):
    element = bs4.BeautifulSoup(html_of(raw), "lxml").find("script", id="incident-data", type="application/json")
    alert = json.loads(element.string)
    VALIDATOR.validate(alert)
    return alert


def tuned(raw):
    message = email.message_from_bytes(raw)
    part = next(part for part in message.walk() if part.get_content_type() == "text/html")
    html = part.get_payload(decode=True).decode(part.get_content_charset("utf-8"))
    (element,) = lxml.html.fromstring(html.encode()).xpath("//script[@id='incident-data' and @type='application/json']")
    alert = json.loads(element.text)
    COMPILED(alert)
    return alert


def run(read, mails):
    state, told = {}, 0
    for raw in mails:
        try:
            alert = read(raw)
        except Exception:
            continue
        if state.get(alert["incidentId"]) != alert["incidentStatus"]:
            state[alert["incidentId"]] = alert["incidentStatus"]
            told += 1
    return told


def main():
    folder, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    mails = [path.read_bytes() for path in sorted(folder.glob("*.eml"))]
    for name, read in (("plain", plain), ("tuned", tuned)):
        took = []
        for _ in range(rounds):
            begun = time.perf_counter()
            told = run(read, mails)
            took.append((time.perf_counter() - begun) / len(mails) * 1e6)
        print(f"Python, {name}: {statistics.median(took):.0f} µs a mail, {told} to tell of {len(mails)}")


if __name__ == "__main__":
    main()
