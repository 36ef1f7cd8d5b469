"""Captions dump to bracketed sound captions, the straightforward way in Python.

What one would write first: read the dump line by line, parse with json, keep the English captions that
have brackets, write a CSV; then read that CSV with pandas and filter. `audsem-filtering extract` is
measured against it, and `--compat reference` must give the same two files.
"""

import argparse
import json
import time

import pandas as pd

HEADER = "video_id,start,duration,text\n"


def field(text):
    """A caption as one CSV field: quotes are doubled always, but only a comma makes it quoted."""
    text = text.replace("\r", "").replace("\n", " ").replace("\t", " ").replace('"', '""')
    return f'"{text}"' if "," in text else text


def lines_of(video):
    """The caption lines of the English tracks."""
    for track in video.get("captions", []):
        if track["lang"] != "en":
            continue
        text = track.get("subtitles", {}).get("transcript", {}).get("text")
        if text is not None:
            yield from text if isinstance(text, list) else [text]


def flatten(dump, flat):
    """Writes every caption with a bracket in it."""
    pending = ""
    with open(dump, encoding="utf-8") as lines, open(flat, "w", encoding="utf-8") as out:
        out.write(HEADER)
        for line in lines:
            pending += line
            try:
                video = json.loads(pending)
            except json.JSONDecodeError:
                continue
            pending = ""
            for cue in lines_of(video):
                if not ("t" in cue and "-start" in cue and "-dur" in cue):
                    continue
                text = cue["t"].strip()
                if any(c in text for c in "[{(") and any(c in text for c in "]})"):
                    out.write(f"{video['video']['videoid']},{cue['-start']},{cue['-dur']},{field(text)}\n")


def select(flat, kept):
    """Keeps those that are a bracketed caption of 1 to 10 seconds."""
    cues = pd.read_csv(flat, dtype={"video_id": str})
    cues[["start", "duration"]] = cues[["start", "duration"]].astype(float)
    cues = cues[cues["text"].str.match(r"^[\[\{\(](.*)[\]\}\)]$")]
    cues = cues[(cues["duration"] <= 10) & (cues["duration"] >= 1)]
    cues = cues[~cues["text"].str.match(r"^\W*$")]
    cues = cues[~cues["text"].str.contains('"""', regex=False)]
    cues.to_csv(kept, index=False)
    return len(cues)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump", help="the captions dump")
    parser.add_argument("flat", help="CSV to write: every caption with brackets")
    parser.add_argument("kept", help="CSV to write: the sound captions")
    args = parser.parse_args()
    started = time.perf_counter()
    flatten(args.dump, args.flat)
    n_kept = select(args.flat, args.kept)
    print(json.dumps({"kept": n_kept, "seconds": round(time.perf_counter() - started, 3)}))


if __name__ == "__main__":
    main()
