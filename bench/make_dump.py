"""Write a synthetic captions dump of about N megabytes, for benches.

One JSON object a line, shaped like the real dump: a video, its tracks, and for each track the list of
timed captions (about 130 bytes each) that came from XML. A share of the videos has bracketed captions
among its speech; the others have none. The same arguments give the same bytes.
"""

import argparse
import json
import random

WORDS = (
    "the of and to a in is you that it he was for on are as with his they at be this have from or one "
    "had by word but not what all were we when your can said there use an each which she do how their "
    "if will up other about out many then them these so some her would make like him into time has look "
    "two more write go see number no way could people my than first water been call who oil its now find"
).split()
SOUNDS = (
    "door slams shut|rain falling|dog barking|upbeat music playing|wind howling|audience applauding|"
    "man laughing|thunder rumbling|car engine starting|birds chirping, water running|phone rings|Music|"
    "indistinct chatter|glass shatters|crickets chirping in the distance|baby crying|...|♪♪♪"
).split("|")
BRACKETS = ["[]", "()", "[]", "{}"]


def captions(rng, n, share_bracketed):
    """The timed captions of one track."""
    start, lines = 0.0, []
    for _ in range(n):
        duration = round(rng.uniform(0.5, 6.0), 3)
        if rng.random() < share_bracketed:
            left, right = rng.choice(BRACKETS)
            text = left + rng.choice(SOUNDS) + right
        else:
            text = " ".join(rng.choices(WORDS, k=rng.randint(4, 14)))
            if rng.random() < 0.03:
                text += " (" + rng.choice(WORDS) + ")"
            if rng.random() < 0.05:
                text = '"' + text + '"'
        lines.append({"-start": f"{start:g}", "-dur": f"{duration:g}", "t": text})
        start = round(start + duration, 3)
    return lines


def video(rng, bracketed):
    """One object of the dump."""
    video_id = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", k=11))
    tracks = []
    for lang in ["en"] + rng.sample(["de", "fr", "es", "en-GB"], rng.choice([0, 0, 1])):
        share = 0.12 if bracketed and lang == "en" else 0.0
        text = captions(rng, rng.randint(40, 240), share)
        tracks.append({"lang": lang, "kind": "manual", "subtitles": {"transcript": {"text": text}}})
    head = {"videoid": video_id, "title": " ".join(rng.choices(WORDS, k=6)), "views": rng.randrange(10**7)}
    return {"video": head, "captions": tracks}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="file to write")
    parser.add_argument("--megabytes", type=int, default=200, help="size of the file (default: 200)")
    parser.add_argument("--share", type=float, default=1.0, help="share of videos with bracketed captions (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of every choice (default: 0)")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    # A pool of made videos, each written many times under another id: making text is slow in Python.
    pools = {
        flag: [json.dumps(video(rng, flag), ensure_ascii=False, separators=(",", ":")) for _ in range(400)]
        for flag in (True, False)
    }
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    left = args.megabytes * 1_000_000
    mark = '"videoid":"'
    with open(args.output, "wb") as out:
        while left > 0:
            text = rng.choice(pools[rng.random() < args.share])
            at = text.index(mark) + len(mark)
            video_id = "".join(rng.choices(alphabet, k=11))
            line = (text[:at] + video_id + text[at + 11 :] + "\n").encode()
            left -= out.write(line)


if __name__ == "__main__":
    main()
