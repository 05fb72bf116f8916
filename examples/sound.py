"""Lays out spoken recordings of eleven voices from Debian packages as WAV files, a folder for each voice.

    pip install soundfile                  # decodes Ogg and GSM
    python3 examples/sound.py voices       # needs apt-get and dpkg-deb; fetches 191 MB, writes 760 MB
    osn train classify --data voices

The voices are those of Asterisk's prompts (8 kHz) and of the two fish in the game Fish Fillets (22 kHz).
Licences: CC BY-SA 3.0 (Allison, June, Carlo, Menardi), CC BY 3.0 (IVRvoice), GPL 2 (Colombian Spanish, Fish
Fillets), BSD (Armelle); each package has its own in usr/share/doc. Nothing of them is part of osn.

Signals and silences are left out. A recording that is there twice is written once, and one that two voices
share not at all. Of what is left, about one recording in a hundred is the take of another one, cut differently.
"""

import collections
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import soundfile

CORE = "asterisk-core-sounds-%s-wav/**/sounds/**/*.wav"
FISH = "fillets-ng-data-%s/**/*-%s-*.ogg"
# Where the recordings of each voice are, in the packages that the patterns begin with.
VOICES = {
    "allison": [CORE % "en", CORE % "es"],
    "june": [CORE % "fr"],
    "carlo": [CORE % "it"],
    "ivrvoice": [CORE % "ru"],
    "menardi": ["asterisk-prompt-it-menardi-wav/**/*.wav"],
    "jimenez": ["asterisk-prompt-es-co/**/*.gsm"],
    "armelle": ["asterisk-prompt-fr-armelle/**/*.gsm"],
    "small-fish-czech": [FISH % ("cs", "m")],
    "big-fish-czech": [FISH % ("cs", "v")],
    "small-fish-dutch": [FISH % ("nl", "m")],
    "big-fish-dutch": [FISH % ("nl", "v")],
}
# What is no voice, by its file's name or folder.
SIGNALS = re.compile("/silence/|/beep|[0-9]tone|/confbridge-(join|leave)|/tt-monkeys")
# Telephone prompts have nothing above 4 kHz.
SETTINGS = {"sample_rate_hz": 8000}


def unpack(packages, folder):
    """Fetches packages with apt and unpacks each into a folder of its name."""
    subprocess.run(["apt-get", "download", *packages], cwd=folder, check=True)
    for package in packages:
        (archive,) = glob.glob(os.path.join(folder, package + "_*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, os.path.join(folder, package)], check=True)


def read(path):
    """The samples of a file and their rate; a .gsm has no header."""
    if path.endswith(".gsm"):
        return soundfile.read(path, samplerate=8000, channels=1, format="RAW", subtype="GSM610")
    return soundfile.read(path)


def recordings(folder):
    """For each recording with sound in it its digest, voice, place and samples."""
    for voice, patterns in VOICES.items():
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(folder, pattern), recursive=True)):
                samples, rate = read(path)
                if samples.any() and not SIGNALS.search(path):
                    digest = hashlib.sha256(samples.tobytes()).hexdigest()
                    yield digest, voice, os.path.relpath(path, folder), samples, rate


def main(out):
    os.makedirs(out)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        unpack(sorted({it.split("/")[0] for patterns in VOICES.values() for it in patterns}), folder)
        found = {}
        voices = collections.defaultdict(set)
        for digest, voice, *recording in recordings(folder):
            found.setdefault(digest, recording)
            voices[digest].add(voice)
        for digest, (path, samples, rate) in found.items():
            if len(voices[digest]) == 1:
                (voice,) = voices[digest]
                os.makedirs(os.path.join(out, voice), exist_ok=True)
                name = os.path.splitext(path)[0].replace("/", "-") + ".wav"
                soundfile.write(os.path.join(out, voice, name), samples, rate, subtype="PCM_16")
    with open(os.path.join(out, "sound.json"), "w") as settings:
        json.dump(SETTINGS, settings)
    for voice in sorted(VOICES):
        print(voice, len(os.listdir(os.path.join(out, voice))))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
