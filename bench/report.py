"""Prints the table of docs/performance.md from what bench/run measured, and writes it there: report.py RESULTS [DOCUMENT]

RESULTS holds lines of measure.py, with the amount of input as `amount` and its unit as `unit`, and the
name of the equivalent it is compared with as `against`: rate with rate, since the amounts may differ.
"""

import datetime
import json
import os
import platform
import sys

results, *documents = sys.argv[1:]
lines = [json.loads(line) for line in open(results)]
by_name = {line["name"]: line for line in lines}


def speed(line):
    return (line.get("amount") or 1) / line["seconds"]


rows = ["| what | input | seconds | rate | peak memory | compared with |", "|---|---|---|---|---|---|"]
for line in lines:
    rate = amount = compared = ""
    if line.get("amount"):
        amount = f"{line['amount']:,.0f} {line['unit']}"
        rate = line["amount"] / line["seconds"]
        rate = f"{rate:,.0f} {line['unit']}/s" if rate >= 10 else f"{rate:.2f} {line['unit']}/s"
    if other := by_name.get(line.get("against")):
        compared = f"{speed(line) / speed(other):.2f} times as fast as {other['name']}"
        if line.get("peak_mb") and other.get("peak_mb"):
            compared += f", with {line['peak_mb'] / other['peak_mb']:.2f} times its memory"
    peak = f"{line['peak_mb']} MB" if line.get("peak_mb") else ""
    rows.append(f"| {line['name']} | {amount} | {line['seconds']:.2f} | {rate} | {peak} | {compared} |")


def processor():
    with open("/proc/cpuinfo") as info:
        for text in info:
            if text.startswith("model name"):
                return text.split(":", 1)[1].strip()
    return platform.machine()


made = f"Measured on {datetime.date.today()} with {os.cpu_count()} cores ({processor()}), {platform.system()}."
begin, end = "<!-- bench: begin -->", "<!-- bench: end -->"
for document in documents:
    text = open(document).read()
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    with open(document, "w") as out:
        out.write(head + begin + "\n" + made + "\n\n" + "\n".join(rows) + "\n" + end + tail)
print("\n".join(rows))
