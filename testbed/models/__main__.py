"""`python -m testbed.models`: make every network at every precision, print the tables of docs/reference/models.md."""

from __future__ import annotations

import sys

from testbed.models.counts import PAPER
from testbed.models.zoo import PRECISIONS, PreparedModel, networks, prepare


def layers_row(model: PreparedModel) -> str:
    """A row of the table of layers, in Markdown."""
    counts = model.counts
    ours = f"{counts.conv_layers} / {counts.fc_layers} / {counts.rc_layers}"
    paper = " / ".join(map(str, PAPER[model.name])) if model.name in PAPER else "not in it"
    moved = f"{counts.bytes_moved('fp32') / 1e6:.1f}"
    sizes = f"{counts.macs / 1e6:.0f} | {counts.parameters / 1e6:.2f} | {moved}"
    return f"| {model.name} | {ours} | {paper} | {sizes} | {model.input_bytes:,} | {model.output_bytes:,} |"


def accuracy_rows(model: PreparedModel) -> list[str]:
    """The rows of the table of accuracies, in Markdown."""
    return [
        f"| {model.name} | {precision} | {a.value:.4f} | {a.metric} | {a.provenance} | {a.source} |"
        for precision, a in model.accuracy.items()
    ]


def main() -> None:
    """Print both tables; tell on stderr what is being made."""
    models = [prepare(name, PRECISIONS, on_step=lambda step: print(step, file=sys.stderr)) for name in networks()]  # noqa: T201
    rows = [layers_row(model) for model in models] + [""] + [row for model in models for row in accuracy_rows(model)]
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
