"""The command ``osn`` of the wheel: what needs no training. The full program is the Rust one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from osn import _core
from osn.files import inspect, normalize, report

#: What the full program has besides, and this one has not.
_ELSEWHERE = ("train", "resume", "compare", "watch", "settings", "data")

#: Exit codes, as those of the full program.
_FAILED, _BAD_INPUT = 1, 2

#: So many names are listed with one reason.
_MAX_EXAMPLES = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0, 1 where it failed, 2 where the input is bad."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in _ELSEWHERE:
        print(f"osn {given[0]} is in the full program, built from the project's source: cargo install --path "
              "crates/osn-cli", file=sys.stderr)
        return _BAD_INPUT
    options = _parser().parse_args(given)
    try:
        options.run(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return _BAD_INPUT
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("osn", description="Spectral norms of weights, and rules that decide about them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inspecting = commands.add_parser("inspect", help="σ of every weight of a checkpoint, in certain intervals")
    inspecting.add_argument("files", nargs="+", metavar="FILE", help="safetensors, an index, or what torch.save writes")
    inspecting.add_argument("--json", action="store_true", help="print one JSON object instead")
    inspecting.add_argument("--top", type=int, default=0, metavar="K", help="also the K largest singular values")
    inspecting.set_defaults(run=_inspect)
    normalizing = commands.add_parser("normalize", help="write a checkpoint whose weights have the wanted σ")
    normalizing.add_argument("input", metavar="IN")
    normalizing.add_argument("output", metavar="OUT", help="a new safetensors file")
    normalizing.add_argument("--target", type=float, required=True, metavar="C", help="the σ that weights get")
    normalizing.add_argument("--mode", choices=("normalize", "cap"), default="normalize")
    normalizing.set_defaults(run=_normalize)
    for command in (inspecting, normalizing):
        command.add_argument("--select", action="append", default=[], metavar="GLOB", help="such as '**.query.weight'")
        command.add_argument("--view", default="reshaped", help="reshaped, blocks:axis=0,count=3, operator:size=28x28, …")
        command.add_argument("--output-axis", type=int, metavar="AXIS")
        command.add_argument("--tolerance", type=float, default=1e-6, metavar="WIDTH")
    reporting = commands.add_parser("report", help="runs and studies as one page")
    reporting.add_argument("folders", nargs="+", metavar="RUN|STUDY")
    reporting.add_argument("-o", "--output", metavar="FILE.html")
    reporting.set_defaults(run=_report)
    deciding = commands.add_parser("decide", help="list the rules and their parameters")
    deciding.add_argument("--json", action="store_true")
    deciding.set_defaults(run=_decide)
    return parser


def _weights(options: argparse.Namespace) -> dict[str, Any]:
    names = ("select", "view", "output_axis", "tolerance")
    return {name: getattr(options, name) for name in names}


def _inspect(options: argparse.Namespace) -> None:
    found = inspect(*options.files, top=options.top, **_weights(options))
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    rows = [("weight", "shape", "type", "σ", "±", "‖W‖_F", "stable rank", *(["largest"] if options.top else []))]
    for it in sorted(found["tensors"], key=lambda it: -it["sigma"]["value"]):
        rows.append(_row(it, options.top))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip())
    for reason, names in _by_reason(found["skipped"]).items():
        more = f", … ({len(names)} tensors)" if len(names) > _MAX_EXAMPLES else ""
        print(f"skipped {', '.join(names[:_MAX_EXAMPLES])}{more}: {reason}")


def _by_reason(skipped: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Names of tensors by why they were not measured."""
    reasons: dict[str, list[str]] = {}
    for it in skipped:
        reasons.setdefault(_escaped(it["reason"]), []).append(_escaped(it["name"]))
    return reasons


def _row(it: dict[str, Any], top: int) -> tuple[str, ...]:
    block = f"[{it['block']}]" if it.get("block") is not None else ""
    sigma = it["sigma"]
    upper = float("inf") if sigma["upper"] is None else sigma["upper"]
    width = (upper - sigma["lower"]) / upper if upper else 0.0
    shape = "×".join(str(length) for length in it["shape"])
    rank = "–" if it["stable_rank"] is None else f"{it['stable_rank']:.4g}"
    cells = (_escaped(it["name"]) + block, shape, it["dtype"], f"{sigma['value']:.5g}", f"{width:.0e}")
    leading = (" ".join(f"{value:.4g}" for value in it.get("leading", [])),) if top else ()
    return (*cells, f"{it['frobenius']:.5g}", rank, *leading)


def _normalize(options: argparse.Namespace) -> None:
    arguments = {"target": options.target, "mode": options.mode, **_weights(options)}
    done = normalize(options.input, options.output, **arguments)
    for it in done["done"]:
        block = f"[{it['block']}]" if it["block"] is not None else ""
        before, after = it["before"]["value"], it["after"]["value"]
        print(f"{_escaped(it['name'])}{block}: σ {before:.5g} → {after:.5g}", file=sys.stderr)
    for what, listed in (("unchanged", done["left"]), ("not written", done["left_out"])):
        for it in listed:
            print(f"{what}: {_escaped(it['name'])}: {_escaped(it['reason'])}", file=sys.stderr)
    print(f"wrote {options.output}", file=sys.stderr)


def _report(options: argparse.Namespace) -> None:
    page = report(*options.folders, output=options.output)
    print(f"wrote {page}", file=sys.stderr)


def _decide(options: argparse.Namespace) -> None:
    rules = json.loads(_core.catalogue())
    if options.json:
        print(json.dumps({"schema": 1, "rules": rules}, ensure_ascii=False, indent=2))
        return
    for rule in rules:
        print(f"{rule['name']}\n  {rule['sentence']}")
        for it in rule["parameters"]:
            print(f"    {it['name']}={it['default']}  {it['meaning']}")


def _escaped(text: str) -> str:
    """Text from a file, without what moves a terminal's cursor."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)


if __name__ == "__main__":
    sys.exit(main())
