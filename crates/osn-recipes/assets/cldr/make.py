#!/usr/bin/env python3
"""Makes names.tsv.gz: what things are called in four languages, from the Unicode CLDR.

    for package in annotations annotations-derived localenames dates units misc; do
        npm pack cldr-$package-modern@45.0.0
    done
    python3 make.py FOLDER_OF_THE_TGZ_FILES .

A row has a part (train, validation or test), what is named, and its names in
English, German, French and Spanish. Only what all four name is in it. Names are
those that the CLDR has, and those that programs compose of them by its patterns:
locales, amounts, rates, relative times, dates and lists (`names.py`).

The split is by meaning, and no word of a held-out name is new. Rows of one group
are in one part: all skin tones, sexes, hairs and directions of an emoji; all forms
of a language, script, territory (with its flag), time zone or unit; all that is
composed of the same parts; and whatever has the same name in any of the four
languages, in large or small letters. A group is held out where each word of its
names, in each language, is in at least two training names of other groups; composed
names are made of training names. Hashes decide which groups are asked first.
Nothing is random, and only the standard library is used. The checksum of the
uncompressed table is printed, because the bytes that gzip writes depend on the
version of zlib.
"""

import collections
import gzip
import hashlib
import pathlib
import re
import sys

from names import LANGUAGES, composed, draw, lists, names

# A word of a held-out name is in so many training names of other groups at least.
LEAST_KNOWN = 2
# A group of more rows is for training: it would be most of a smaller part.
LARGEST_HELD_OUT = 18
# So many composed names of a kind are held out, for validation and testing together.
MOST_HELD_OUT = {"locale": 70, "amount": 50, "rate": 40, "relative": 30, "date": 50, "list": 40}

SKIN_TONES = "".join(map(chr, range(0x1F3FB, 0x1F400)))
HAIR = "".join(map(chr, range(0x1F9B0, 0x1F9B4)))
# What joins signs into one emoji, asks for colour, says woman or man, or points to the right.
JOINER, COLOUR, SIGNS = "\u200d", "\ufe0f", "♀♂➡"
KEYCAP = "\u20e3"
# What only differs in age, sex or number, and is written without such signs.
ADULTS, CHILDREN = "👨👩🧑", "👦👧🧒"
ALIKE = [
    [*ADULTS, *CHILDREN, "👪"],  # people, and families made of them
    ["👴", "👵", "🧓"],
    ["🤴", "👸", "🫅"],
    ["🎅", "🤶", "🧑🎄"],
    ["💃", "🕺"],
    ["🤰", "🫃", "🫄"],
    ["👫", "👬", "👭", "🧑🤝🧑"],
    ["💏", "🧑❤💋🧑"],
    ["💑", "🧑❤🧑"],
    ["🤝", "🫱🫲"],
]


def table(named):
    """Complete rows, each combination of names once."""
    rows, seen = {}, set()
    for key, texts in named.items():
        row = tuple(texts.get(language, "") for language in LANGUAGES)
        if all(row) and not is_code(row) and row not in seen:
            seen.add(row)
            rows[key] = row
    return rows


def is_code(row):
    """Whether something has no name of its own but a code or a sign, the same in all languages."""
    return len(set(row)) == 1 and not any(letter.islower() for letter in row[0])


def base(sign):
    """An emoji without skin tones, hair, sexes and directions: those with one base have one meaning."""
    if len(sign) > 1:
        sign = re.sub(f"[{JOINER}{COLOUR}{SIGNS}{SKIN_TONES}]", "", sign) or sign
    if KEYCAP in sign:
        return KEYCAP
    sign = re.sub(f"[{ADULTS}]", "🧑", re.sub(f"[{CHILDREN}]", "👦", sign))
    if len(sign) > 1:
        sign = re.sub(f"[{HAIR}]", "", sign) or sign
    # A family is of people, however many.
    return "👪" if set(sign) <= set("🧑👦") else sign


def meanings(key, row):
    """All that rows of one group may share."""
    kind, name = key.split(" ", 1)
    yield from ((language, text.casefold()) for language, text in zip(LANGUAGES, row))
    if kind == "emoji":
        sign = base(name)
        alike = next((alike[0] for alike in ALIKE if sign in map(base, alike)), sign)
        letters = [ord(letter) - 0x1F1E6 for letter in name]
        if len(letters) == 2 and all(0 <= letter < 26 for letter in letters):
            yield "territory", "".join(chr(ord("A") + letter) for letter in letters)
        yield kind, alike
    elif kind in ("time", "unit", "city"):
        yield kind, name.split(" ")[0]
    elif kind in ("amount", "rate", "relative"):
        yield kind, " ".join(name.split(" ")[:2])
    elif kind == "date":
        yield kind, name.split("-", 1)[1]
    elif kind in ("type", "calendar", "locale", "list"):
        yield kind, name
    else:
        # en-GB-alt-short is English too.
        yield kind, name.split("-")[0]


def groups(rows):
    """The keys of each group, by the first of them."""
    first = {key: key for key in rows}

    def find(key):
        while first[key] != key:
            first[key] = first[first[key]]
            key = first[key]
        return key

    owner = {}
    order = {key: place for place, key in enumerate(rows)}
    for key, row in rows.items():
        for meaning in meanings(key, row):
            early, late = sorted((find(key), find(owner.setdefault(meaning, key))), key=order.get)
            first[late] = early
    found = collections.defaultdict(list)
    for key in rows:
        found[find(key)].append(key)
    return found


def words(row):
    """The words of a row's names, each with its language, letters and digits in a row."""
    return {(language, word) for language, text in zip(LANGUAGES, row) for word in words_of(text)}


def words_of(text):
    return re.findall(r"[^\W_]+", text.casefold())


def split(rows, known, most):
    """The part of each row. `known` counts the training names that have a word, and is kept."""
    known.update(word for row in rows.values() for word in words(row))
    parts, held = dict.fromkeys(rows, "train"), collections.Counter()
    for group, keys in sorted(groups(rows).items(), key=lambda item: draw(item[0])):
        own = collections.Counter(word for key in keys for word in words(rows[key]))
        kind = group.split(" ")[0]
        is_known = all(known[word] - count >= LEAST_KNOWN for word, count in own.items())
        if is_known and len(keys) <= LARGEST_HELD_OUT and held[kind] < most.get(kind, len(rows)):
            part = ("test", "validation")[held[kind, "groups"] % 2]
            held.update({kind: len(keys), (kind, "groups"): 1})
            known.subtract(own)
            parts.update(dict.fromkeys(keys, part))
    return parts


def made_of_others(rows, more, parts):
    """The rows of `more` that have no held-out row's name in them, and no name of any row."""
    names = {(language, text.casefold()) for row in rows.values() for language, text in zip(LANGUAGES, row)}
    held = [row for key, row in rows.items() if parts[key] != "train"]
    held = {(language, tuple(words_of(text))) for row in held for language, text in zip(LANGUAGES, row)}
    longest = max(len(name) for _, name in held)

    def is_made_of_others(row):
        for language, text in zip(LANGUAGES, row):
            inside = words_of(text)
            spans = (inside[place:place + count] for place in range(len(inside)) for count in range(1, longest + 1))
            if (language, text.casefold()) in names or any((language, tuple(span)) in held for span in spans):
                return False
        return True

    return {key: row for key, row in more.items() if is_made_of_others(row)}


def main(source, target):
    folder = pathlib.Path(source)
    rows, known = table(names(folder)), collections.Counter()
    parts = split(rows, known, {})
    more = made_of_others(rows, table(composed(folder)), parts)
    more |= table(lists(folder, {key: row for key, row in rows.items() if parts[key] == "train"}))
    parts.update(split(more, known, MOST_HELD_OUT))
    rows.update(more)
    lines = ["\t".join(["part", "what", *LANGUAGES])]
    lines += ["\t".join([parts[key], key, *row]) for key, row in rows.items()]
    text = ("\n".join(lines) + "\n").encode()
    path = pathlib.Path(target) / "names.tsv.gz"
    path.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    counts = collections.Counter((key.split(" ")[0], part) for key, part in parts.items())
    for kind in dict.fromkeys(kind for kind, _ in counts):
        print(kind, *(counts[kind, part] for part in ("train", "validation", "test")))
    print(f"{len(text)} bytes, sha256 {hashlib.sha256(text).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make.py FOLDER_OF_THE_TGZ_FILES TARGET_FOLDER")
    main(*sys.argv[1:])
