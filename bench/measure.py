"""Times a command: measure.py RESULTS NAME [flags] -- COMMAND...

Appends one JSON line to RESULTS: seconds of the fastest run, and peak memory of the command and its
children. --clear removes a folder before each run, so that nothing is resumed. --timed takes the seconds
from the last line that the command prints: where starting up is no part of what is compared.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results")
    parser.add_argument("name")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--timed", action="store_true", help="the command prints its own seconds")
    parser.add_argument("--clear", action="append", default=[])
    parser.add_argument("--amount", type=float, help="how much the command works on, for the rate")
    parser.add_argument("--unit", help="of what")
    parser.add_argument("--against", help="name of what it is compared with")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    seconds = []
    for _ in range(args.repeat):
        for folder in args.clear:
            shutil.rmtree(folder, ignore_errors=True)
        os.sync()
        start = time.perf_counter()
        output = subprocess.PIPE if args.timed else subprocess.DEVNULL
        run = subprocess.run(args.command, stdout=output, stderr=subprocess.PIPE)
        elapsed = time.perf_counter() - start
        if run.returncode != 0:
            sys.exit(f"{args.name}: exit {run.returncode}\n{run.stderr.decode(errors='replace')}")
        seconds.append(round(float(run.stdout.split()[-1]) if args.timed else elapsed, 3))
    # Linux counts the largest of the children, in KiB; a command's own children count with it.
    peak_mb = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6)
    line = {"name": args.name, "seconds": min(seconds), "all_seconds": seconds, "peak_mb": peak_mb}
    line |= {"amount": args.amount, "unit": args.unit, "against": args.against}
    with open(args.results, "a") as results:
        results.write(json.dumps(line) + "\n")
    print(f"{args.name:<24} {min(seconds):>9.3f} s {peak_mb:>7} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
