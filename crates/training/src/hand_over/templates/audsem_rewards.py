"""Rewards of AudSem for other engines: the same numbers as `audsem-training rewards` gives, in plain Python.

ms-swift:  swift rlhf --external_plugins audsem_rewards.py --reward_funcs audsem_accuracy audsem_format ...
verl:      reward.custom_reward_function.path=audsem_rewards.py reward.custom_reward_function.name=compute_score

`rewards.json` beside this file holds the settings; both are written by `audsem-training export-config`.
"""

import json
import pathlib
import re

THINK = ("<think>", "</think>")
SEMANTIC = ("<semantic_elements>", "</semantic_elements>")
ANSWER = ("<answer>", "</answer>")

SETTINGS = json.loads((pathlib.Path(__file__).parent / "rewards.json").read_text(encoding="utf-8"))


def inner_texts(text, tag):
    """The texts between an opening mark and the next closing one, without blanks at their ends."""
    found, rest = [], text
    while True:
        _, opened, after = rest.partition(tag[0])
        inner, closed, rest = after.partition(tag[1])
        if not opened or not closed:
            return found
        found.append(inner.strip())


def answer_of(completion):
    """The last complete answer, else the text after an opening mark that is never closed, else nothing."""
    complete = inner_texts(completion, ANSWER)
    if complete:
        return complete[-1]
    _, opened, rest = completion.rpartition(ANSWER[0])
    return rest.strip() if opened else None


def clean(text):
    return " ".join(text.split())


def plain(text):
    return clean(text).lower().rstrip(". ")


def number(text):
    if not text or any(c not in "0123456789+-.," for c in text):
        return None
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def is_same(given, right):
    given, right = plain(given), plain(right)
    numbers = number(given), number(right)
    if None not in numbers:
        return abs(numbers[0] - numbers[1]) <= 1e-9 * max(abs(numbers[1]), 1.0)
    return given == right


def find_option(options, answer):
    """The place of the option that an answer means; None if it means none or could mean several."""
    exact = clean(answer)
    for place, (letter, text) in enumerate(options):
        if exact == f"{letter}. {text}":
            return place
    answer = plain(answer)
    for place, (letter, text) in enumerate(options):
        for mark in (". ", ") ", ": "):
            form = f"{letter.lower()}{mark}{plain(text)}"
            if answer in (form, "(" + form):
                return place
    by_text = [place for place, (_, text) in enumerate(options) if plain(text) == answer]
    bare = answer.lstrip("(").rstrip("):")
    by_letter = [place for place, (letter, _) in enumerate(options) if letter.lower() == bare]
    found = list(dict.fromkeys(by_text + by_letter))
    return found[0] if len(found) == 1 else None


def accuracy(completion, answer, choices):
    given = answer_of(completion) if SETTINGS["tagged"] else completion
    if given is None:
        return 0.0
    if choices is None or len(choices) == 0:
        return float(is_same(given, answer))
    options = [tuple(choice.split(". ", 1)) for choice in choices]
    right = find_option(options, answer)
    if right is None:
        raise ValueError(f"the right answer {answer!r} is not one of the choices {list(choices)}")
    return float(find_option(options, given) == right)


def well_formed(completion):
    middle = r"<semantic_elements>.*?</semantic_elements>\s*" if SETTINGS["semantic"] else ""
    pattern = r"<think>.*?</think>\s*" + middle + r"<answer>.*?</answer>"
    return 0.5 if re.fullmatch(pattern, completion, re.DOTALL) else 0.0


def length(completion):
    own = SETTINGS["length"]
    thinking = inner_texts(completion, THINK)
    missing = own["target_words"] - (len(thinking[0].split()) if thinking else 0)
    if own["shape"] == "tent":
        value = 1.0 - own["alpha"] * abs(missing) + own["delta"]
    elif own["shape"] == "reference-encourage" and missing >= 0:
        value = 1.0 - own["alpha"] * missing + own["delta"]
    else:
        value = own["alpha"] * missing + own["delta"]
    return min(max(value, 0.0), 1.0)


def tags(completion):
    wanted = [THINK, SEMANTIC, ANSWER] if SETTINGS["semantic"] else [THINK, ANSWER]
    pairs = []
    for opened, closed in wanted:
        start = completion.find(opened)
        end = completion.find(closed, start + len(opened)) if start >= 0 else -1
        if end >= 0:
            pairs.append((start, end + len(closed)))
    ordered = len(pairs) == len(wanted) and all(a[1] <= b[0] for a, b in zip(pairs, pairs[1:]))
    tail = completion.rpartition(ANSWER[1])
    behind = len(tail[2].strip()) if tail[1] else 0
    return max(0.125 * len(pairs) + 0.25 * ordered - 0.001 * behind, 0.0)


def values(completion, answer, choices):
    """Each reward by its name, after gates and before weights."""
    raw = {
        "accuracy": lambda: accuracy(completion, answer, choices),
        "format": lambda: well_formed(completion),
        "length": lambda: length(completion),
        "tags": lambda: tags(completion),
    }
    gates = SETTINGS["gates"]
    return {
        name: raw[name]() * (raw[gates[name]]() if gates.get(name) else 1.0) for name in SETTINGS["weights"]
    }


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """The weighted sum for verl, with its parts beside it."""
    choices = (extra_info or {}).get("choices")
    parts = values(solution_str, ground_truth, choices)
    score = sum(SETTINGS["weights"][name] * value for name, value in parts.items())
    return {"score": score, **parts}


try:
    from swift.rewards import ORM, orms
except ImportError:
    # Another engine.
    pass
else:

    def reward_class(name):
        class AudSemReward(ORM):
            def __call__(self, completions, solution, choices=None, **kwargs):
                options = choices if choices is not None else [None] * len(completions)
                rows = zip(completions, solution, options)
                return [values(completion, answer, own)[name] for completion, answer, own in rows]

        AudSemReward.__name__ = f"AudSem_{name}"
        return AudSemReward

    for reward in SETTINGS["weights"]:
        orms[f"audsem_{reward}"] = reward_class(reward)
