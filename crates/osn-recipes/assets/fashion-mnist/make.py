#!/usr/bin/env python3
"""Makes the four embedded files from the full Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python3 make.py /usr/share/datasets/fashion-mnist .

The test files are copied as they are. The training files hold the first 1,000
images of each class, in the order in which the full training set has them: a
rule without a random number, so that anyone gets the same 10,000. Only the
standard library is used. The checksums of the uncompressed files are printed,
because the bytes that gzip writes depend on the version of zlib.
"""

import gzip
import hashlib
import pathlib
import shutil
import struct
import sys
import zlib

PER_CLASS = 1000
CLASSES = 10
IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"
TEST = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def read(folder, name):
    return gzip.decompress((folder / f"{name}.gz").read_bytes())


def write(folder, name, data):
    packed = gzip.compress(data, compresslevel=9, mtime=0)
    (folder / f"{name}.gz").write_bytes(packed)


def first_of_each_class(labels):
    """Indices of the first PER_CLASS images of each class, in file order."""
    seen = [0] * CLASSES
    kept = []
    for index, label in enumerate(labels):
        if seen[label] < PER_CLASS:
            seen[label] += 1
            kept.append(index)
    assert seen == [PER_CLASS] * CLASSES
    return kept


def subset(images, labels):
    magic, _, height, width = struct.unpack(">IIII", images[:16])
    label_magic, _ = struct.unpack(">II", labels[:8])
    kept = first_of_each_class(labels[8:])
    size = height * width
    pixels = b"".join(images[16 + i * size : 16 + (i + 1) * size] for i in kept)
    return (
        struct.pack(">IIII", magic, len(kept), height, width) + pixels,
        struct.pack(">II", label_magic, len(kept)) + bytes(labels[8 + i] for i in kept),
    )


def main(source, target):
    source, target = pathlib.Path(source), pathlib.Path(target)
    images, labels = subset(read(source, IMAGES), read(source, LABELS))
    write(target, IMAGES, images)
    write(target, LABELS, labels)
    for name in TEST:
        shutil.copyfile(source / f"{name}.gz", target / f"{name}.gz")
    for name in [IMAGES, LABELS, *TEST]:
        data = read(target, name)
        print(f"{name}: {len(data)} bytes, crc32 {zlib.crc32(data):08x}, "
              f"sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make.py FOLDER_OF_THE_FULL_SET TARGET_FOLDER")
    main(*sys.argv[1:])
