"""`testbed models`: the networks a suite can name, and the user's own beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from testbed.cli.screen import ERRORS, print_json
from testbed.errors import BenchError
from testbed.models import examples, zoo
from testbed.models.accuracy import Accuracy
from testbed.models.counts import PAPER, Counts
from testbed.models.maker import SYMMETRIC, Step
from testbed.models.registry import Registry
from testbed.models.vetting import vet
from testbed.models.zoo import PRECISIONS, PreparedModel

_PIPE_COLUMNS = 150
"""width of what goes to a file or a pipe"""
_screen = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)

models = typer.Typer(
    help="The networks a suite can name, and your own beside them.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Labelled = Annotated[
    Path | None, typer.Option(help="Labelled inputs: a folder of folders named by class number, or an npz.")
]


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Show every network: layers, multiply-accumulates, parameters, and accuracies with their source."""
    registry = Registry()
    with _telling() as step:
        found = {name: zoo.describe(name, (), on_step=step) for name in (*zoo.networks(), *registry.names())}
    known = {name: zoo.known_accuracy(name, registry) for name in found}
    if as_json:
        print_json([_as_json(model, known[name]) for name, model in found.items()])
        return
    headings = ("conv / fc / rc", "the paper's", "MMACs", "M param.", *PRECISIONS, "accuracy is")
    table = _table(("network", *headings))
    for name, model in found.items():
        whose = "" if name in zoo.networks() else " (yours)"
        table.add_row(f"{name}{whose}", *_sizes(name, model.counts), *_values(known[name]))
    table.caption = "published of trained weights, or measured on labelled inputs; sources: --json"
    _screen.print(table)


@models.command()
def add(
    file: Annotated[Path, typer.Argument(help="An ONNX file, FP32, of fixed shapes.")],
    name: Annotated[str, typer.Option(help="What suites will call it.")],
) -> None:
    """Register an ONNX file of your own, so that suites can name it."""
    if name in zoo.networks():
        raise BenchError(f"{name!r} is the name of a network that is there already: choose another")
    read, counts = vet(file)
    if read.precision != "fp32":
        raise BenchError(
            f"{file} is {read.precision} already: add the FP32 file it came from, or name it in the suite (model.files)"
        )
    model = Registry().add(name, file)
    _screen.print(f"{name}: {_told(counts)}; kept as {model.sha256[:16]}", markup=False)


@models.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A network, as `testbed models list` shows it.")],
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, fp16 or int8; may be given again. Default: all three.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="What INT8 ranges come from: a folder of photos, or an npz.")
    ] = None,
) -> None:
    """Make a network's files now rather than when a suite first needs them; INT8 for ONNX Runtime and for TensorRT."""
    registry = Registry()
    if inputs is not None:
        _calibrate(name, inputs, registry)
    asked = precision or list(PRECISIONS)
    forms = [*asked, SYMMETRIC] if "int8" in asked else asked
    with _telling() as step:
        model = zoo.prepare(name, forms, on_step=step)
    table = _table(("form", "MB", "SHA-256", "file"))
    for form, path in model.files.items():
        table.add_row(form, f"{path.stat().st_size / 1e6:.1f}", model.sha256[form][:16], str(path))
    _screen.print(table, soft_wrap=True)


@models.command()
def check(
    model: Annotated[str, typer.Argument(help="A network by name, or an ONNX file.")],
    labelled: Labelled = None,
    as_json: AsJson = False,
) -> None:
    """Look a network over: layers from its graph, tensors, and how right it is at each precision."""
    registry = Registry()
    own = Path(model)
    is_file = model not in (*zoo.networks(), *registry.names()) and (own.suffix == ".onnx" or own.exists())
    with _telling() as step:
        specs = vet(own)[0].inputs if is_file else zoo.describe(model, (), on_step=step).input_specs
        given = None if labelled is None else examples.read(labelled, specs, labelled=True)
        found = _of_file(own, step) if is_file else zoo.prepare(model, PRECISIONS, on_step=step)
        accuracy = dict(found.accuracy)
        if labelled is not None and given is not None:
            step(f"{model}: measuring on {labelled}")
            accuracy = zoo.measure(found, given, f"{len(given.labels)} labelled inputs of {labelled.name}")
    if registered := None if labelled is None or is_file else registry.find(model):
        registry.measured(registered, accuracy)
        ERRORS.print(f"{model}: kept; suites that name it go by these", markup=False)
    if as_json:
        print_json(_as_json(found, accuracy))
        return
    _screen.print(f"{found.name}: {_told(found.counts)}", markup=False)
    for word, specs in (("takes", found.input_specs), ("gives", found.output_specs)):
        for spec in specs:
            _screen.print(f"  {word} {spec.name!r}: {spec.dtype} {list(spec.shape)}", markup=False)
    table = _table(("precision", "MB", "accuracy", "which is", "known how", "source"))
    for precision, path in found.files.items():
        at = accuracy.get(precision)
        known = (f"{at.value:.4f}", at.metric, at.provenance, at.source) if at else ("-",) * 4
        table.add_row(precision, f"{path.stat().st_size / 1e6:.1f}", *known)
    _screen.print(table)


def _of_file(path: Path, step: Step) -> PreparedModel:
    """A file by itself; one that is FP32 at the other precisions too."""
    read, counts = vet(path)
    if read.precision == "fp32":
        return zoo.prepare_file(path, PRECISIONS, on_step=step)
    return PreparedModel(path.stem, {read.precision: path}, {}, counts, {}, read.inputs, read.outputs)


def _calibrate(name: str, source: Path, registry: Registry) -> None:
    zoo.require(name, registry)
    registered = registry.find(name)
    if registered is None:
        raise BenchError(f"{name!r} has calibration inputs of its own: --inputs is for models that you added")
    specs = zoo.describe(name, (), registry=registry).input_specs
    registry.calibrate(registered, examples.read(source, specs, labelled=False).tensors)


@contextmanager
def _telling() -> Iterator[Step]:
    """Says on stderr what is being made, where somebody watches."""
    with ERRORS.status("...") as status:
        yield lambda text: status.update(text) if ERRORS.is_terminal else ERRORS.print(text, markup=False)


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", caption_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _told(counts: Counts) -> str:
    layers = f"{counts.conv_layers} convolutions, {counts.fc_layers} fully connected, {counts.rc_layers} recurrent"
    return f"{layers} or attention layers, {counts.macs / 1e6:.0f} M MACs, {counts.parameters / 1e6:.2f} M parameters"


def _sizes(name: str, counts: Counts) -> tuple[str, str, str, str]:
    paper = " / ".join(map(str, PAPER[name])) if name in PAPER else "-"
    layers = f"{counts.conv_layers} / {counts.fc_layers} / {counts.rc_layers}"
    return layers, paper, f"{counts.macs / 1e6:.0f}", f"{counts.parameters / 1e6:.2f}"


def _values(known: Mapping[str, Accuracy]) -> tuple[str, ...]:
    """A cell for each precision, and what the figures are."""
    if not known:
        return (*("-" for _ in PRECISIONS), "agreement with FP32, measured when prepared")
    starred = {precision for precision, each in known.items() if each.provenance == "assumed"}
    values = (f"{known[p].value:.4f}{'*' if p in starred else ''}" if p in known else "-" for p in PRECISIONS)
    [metric] = {each.metric for each in known.values()}
    return (*values, f"{metric}{'; *: assumed' if starred else ''}")


def _as_json(model: PreparedModel, accuracy: Mapping[str, Accuracy]) -> dict[str, Any]:
    return {
        "name": model.name,
        **asdict(model.counts),
        "paper_layers": list(PAPER[model.name]) if model.name in PAPER else None,
        "inputs": [asdict(spec) for spec in model.input_specs],
        "outputs": [asdict(spec) for spec in model.output_specs],
        "files": {form: str(path) for form, path in model.files.items()},
        "sha256": dict(model.sha256),
        "accuracy": {precision: asdict(known) for precision, known in accuracy.items()},
    }
