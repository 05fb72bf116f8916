#!/usr/bin/env python3
"""Makes names.tsv.gz: what things are called in four languages, from the Unicode CLDR.

    for package in annotations annotations-derived localenames dates units; do
        npm pack cldr-$package-modern@45.0.0
    done
    python3 make.py FOLDER_OF_THE_FIVE_TGZ_FILES .

A row has a part (train, validation or test), what is named, and its names in
English, German, French and Spanish. Only what all four name is in it.

The split is by meaning. Rows of one group are in one part: all skin tones,
sexes, hairs and directions of an emoji; all forms of a language, script,
territory (with its flag), time zone or unit; and whatever has the same name in
any of the four languages, in large or small letters. A hash of the group's
first row decides which part that is; large groups are for training. Nothing
is random, and only the standard library is used. The checksum of the
uncompressed table is printed, because the bytes that gzip writes depend on the
version of zlib.
"""

import collections
import gzip
import hashlib
import json
import pathlib
import re
import sys
import tarfile

VERSION = "45.0.0"
LANGUAGES = ["en", "de", "fr", "es"]
# Of so many groups one is for validation and one for testing, on average.
ONE_IN = 18
# A group of more rows is for training: it would be most of a smaller part.
LARGEST_HELD_OUT = 30

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


def read(folder, package, path):
    """A file of a package, `LANGUAGE` in its path replaced; one object for each language."""
    with tarfile.open(folder / f"cldr-{package}-modern-{VERSION}.tgz") as archive:
        for language in LANGUAGES:
            file = archive.extractfile("package/" + path.replace("LANGUAGE", language))
            yield language, json.load(file)


def annotations(folder):
    """What emoji and signs are read out as, by their characters."""
    for package, name in [("annotations", "annotations"), ("annotations-derived", "annotationsDerived")]:
        for language, tree in read(folder, package, f"{name}/LANGUAGE/annotations.json"):
            for sign, texts in tree[name]["annotations"].items():
                yield f"emoji {sign}", language, texts["tts"][0]


def display_names(folder, kind, singular):
    for language, tree in read(folder, "localenames", f"main/LANGUAGE/{kind}.json"):
        for code, text in tree["main"][language]["localeDisplayNames"][kind].items():
            yield f"{singular} {code}", language, text


def time_zones(folder):
    for language, tree in read(folder, "dates", "main/LANGUAGE/timeZoneNames.json"):
        names = tree["main"][language]["dates"]["timeZoneNames"]
        for zone, forms in names["metazone"].items():
            for form, text in forms.get("long", {}).items():
                yield f"time {zone} {form}", language, text
        yield from ((f"city {zone}", language, text) for zone, text in cities(names["zone"], ""))


def cities(tree, path):
    for name, inside in tree.items():
        if name == "exemplarCity":
            yield path[1:], inside
        elif isinstance(inside, dict) and name not in ("long", "short"):
            yield from cities(inside, f"{path}/{name}")


def units(folder):
    """Units as they are listed, one of them, and "per" one of them."""
    for language, tree in read(folder, "units", "main/LANGUAGE/units.json"):
        for unit, forms in tree["main"][language]["units"]["long"].items():
            for form in ("displayName", "unitPattern-count-one", "perUnitPattern"):
                text = forms.get(form, "").replace("{0}", "").strip()
                if text and "-" in unit:
                    yield f"unit {unit} {form}", language, text


def table(folder):
    """Names by what is named and by language, complete and each combination of names once."""
    names = collections.defaultdict(dict)
    sources = [
        annotations(folder),
        display_names(folder, "languages", "language"),
        display_names(folder, "scripts", "script"),
        display_names(folder, "territories", "territory"),
        time_zones(folder),
        units(folder),
    ]
    for source in sources:
        for key, language, text in source:
            names[key][language] = " ".join(text.split())
    rows, seen = {}, set()
    for key, texts in names.items():
        row = tuple(texts.get(language, "") for language in LANGUAGES)
        if all(row) and not is_code(key, row) and row not in seen:
            seen.add(row)
            rows[key] = row
    return rows


def is_code(key, row):
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
    else:
        # en-GB-alt-short is English too.
        yield kind, name.split("-")[0]


def groups(rows):
    """The first key of each key's group."""
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
            one, other = find(key), find(owner.setdefault(meaning, key))
            early, late = sorted((one, other), key=order.get)
            first[late] = early
    return {key: find(key) for key in rows}


def part(group, size):
    draw = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") % ONE_IN
    if size > LARGEST_HELD_OUT:
        return "train"
    return {0: "test", 1: "validation"}.get(draw, "train")


def main(source, target):
    rows = table(pathlib.Path(source))
    group_of = groups(rows)
    sizes = collections.Counter(group_of.values())
    lines = ["\t".join(["part", "what", *LANGUAGES])]
    counts = collections.Counter()
    for key, row in rows.items():
        group = group_of[key]
        lines.append("\t".join([part(group, sizes[group]), key, *row]))
        counts[part(group, sizes[group])] += 1
    text = ("\n".join(lines) + "\n").encode()
    path = pathlib.Path(target) / "names.tsv.gz"
    path.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    print(f"{len(rows)} rows in {len(sizes)} groups: {dict(counts)}")
    print(f"{len(text)} bytes, sha256 {hashlib.sha256(text).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make.py FOLDER_OF_THE_FIVE_TGZ_FILES TARGET_FOLDER")
    main(*sys.argv[1:])
