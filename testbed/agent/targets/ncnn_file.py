"""An ONNX file as ncnn reads it: converted once by pnnx, checked against ONNX Runtime, kept beside the ONNX file.

pnnx is a program in the wheel of that name. Its Python package imports PyTorch, which nothing here needs: the program
is found without importing it.

What pnnx writes is taken only when it answers as ONNX Runtime does. It does not always: of a MaxPool with `auto_pad` it
drops the padding and says nothing (release 20261020).
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from testbed.agent.contract import CannotLoad

CONVERSION_S = 600.0
_INPUT = re.compile(r'ex\.input\("(\w+)".*batch_index=(\d+)')
"""how the sample that pnnx writes gives an input: its blob, and the axis that counts examples (233: none)"""
_CAST = re.compile(r"^Tensor\.to( +\S+ +1 1 (\S+) )", re.MULTILINE)
"""the conversion of an input to floats; ncnn has no layer for it, and takes floats"""
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the network: as the ONNX file declares it, and as ncnn takes it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    blob: str
    fed: str
    """the type that ncnn is given"""
    batch_axis: int


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the network: as the ONNX file declares it, and ncnn's name for it."""

    name: str
    shape: tuple[int, ...]
    blob: str


@dataclass(frozen=True, slots=True)
class NcnnFile:
    """A network in ncnn's form."""

    folder: Path
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]

    @property
    def param(self) -> Path:
        """The graph."""
        return self.folder / "net.param"

    @property
    def bin(self) -> Path:
        """The weights."""
        return self.folder / "net.bin"


Check = Callable[[NcnnFile, Any], None]
"""given the form and an onnxruntime.InferenceSession of the ONNX file; raises when the form will not do"""


def converted(source: Path, check: Check) -> NcnnFile:
    """The ncnn form of an ONNX file; converted and checked first where it is not there yet.

    Raises CannotLoad, and what `check` raises; then nothing is kept.
    """
    program = _pnnx()
    release = version("pnnx")
    kept = source.with_name(f"{_digest(source)}-pnnx-{release}.ncnn")
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix=".pnnx-", dir=source.parent) as workshop:
            reference = _reference(source)
            made = _convert(source, reference, program, release, Path(workshop))
            check(made, reference)
            tensors = {"inputs": [asdict(i) for i in made.inputs], "outputs": [asdict(o) for o in made.outputs]}
            (made.folder / "tensors.json").write_text(json.dumps(tensors), "utf-8")
            with suppress(FileExistsError):  # another process made it meanwhile
                made.folder.rename(kept)
    return _read(kept)


def _pnnx() -> Path:
    spec = find_spec("pnnx")
    program = Path(spec.origin).with_name("pnnx") if spec and spec.origin else None
    if program is None or not program.exists():
        raise CannotLoad(
            "the target cpu_ncnn needs pnnx to convert ONNX files, which this board's Python does not have: run "
            "`python3 -m pip install --no-deps pnnx` on the board (without --no-deps it brings PyTorch)"
        )
    return program


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


def _reference(source: Path) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise CannotLoad(
            "the target cpu_ncnn is checked against ONNX Runtime, which this board's Python does not have: "
            "run `python3 -m pip install onnxruntime` on the board"
        ) from None
    try:
        return onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise CannotLoad(f"ONNX Runtime {onnxruntime.__version__} cannot load {source}: {error}") from error


def _convert(source: Path, reference: Any, program: Path, release: str, workshop: Path) -> NcnnFile:
    (workshop / "net.onnx").symlink_to(source.resolve())
    try:
        done = subprocess.run(
            [program, "net.onnx", "fp16=0"], cwd=workshop, capture_output=True, text=True, timeout=CONVERSION_S
        )
    except subprocess.TimeoutExpired:
        raise CannotLoad(f"pnnx {release} did not convert {source} within {CONVERSION_S:g} s") from None
    sample = workshop / "net_ncnn.py"
    if done.returncode or not sample.exists():
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CannotLoad(
            f"pnnx {release} cannot convert {source} for ncnn (status {done.returncode}"
            f"{': ' + said[-1].strip() if said else ''}): leave cpu_ncnn out for this model"
        )
    form = workshop / "form"
    form.mkdir()
    graph = (workshop / "net.ncnn.param").read_text("utf-8")
    casts = {blob for _, blob in _CAST.findall(graph)}
    axes = dict(_INPUT.findall(sample.read_text("utf-8")))
    made = NcnnFile(form, _inputs(source, reference, casts, axes), _outputs(source, reference))
    made.param.write_text(_CAST.sub(r"Noop     \1", graph), "utf-8")
    (workshop / "net.ncnn.bin").rename(made.bin)
    return made


def _inputs(source: Path, reference: Any, casts: set[str], axes: dict[str, str]) -> tuple[Input, ...]:
    found = []
    for i, declared in enumerate(reference.get_inputs()):
        dtype, blob = _DTYPES.get(declared.type), f"in{i}"
        if dtype is None:
            raise CannotLoad(f"{source}: ncnn takes no input of type {declared.type} ('{declared.name}')")
        floats = dtype == "float32" or blob in casts
        shape = _fixed(source, declared)
        found.append(Input(declared.name, shape, dtype, blob, "float32" if floats else "int32", int(axes[blob])))
    return tuple(found)


def _outputs(source: Path, reference: Any) -> tuple[Output, ...]:
    declared = reference.get_outputs()
    return tuple(Output(each.name, _fixed(source, each), f"out{i}") for i, each in enumerate(declared))


def _fixed(source: Path, declared: Any) -> tuple[int, ...]:
    if not all(isinstance(length, int) for length in declared.shape):
        raise CannotLoad(f"{source}: the shape of '{declared.name}' is not fixed ({declared.shape}), as ncnn needs it")
    return tuple(declared.shape)


def _read(kept: Path) -> NcnnFile:
    tensors = json.loads((kept / "tensors.json").read_text("utf-8"))
    inputs = (Input(**{**each, "shape": tuple(each["shape"])}) for each in tensors["inputs"])
    outputs = (Output(**{**each, "shape": tuple(each["shape"])}) for each in tensors["outputs"])
    return NcnnFile(kept, tuple(inputs), tuple(outputs))
