from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from testbed.agent.contract import CannotLoad, Model
from testbed.agent.targets.tensorrt.library import Library, of_module, open_library
from testbed.agent.targets.tensorrt.order import Device, order
from tests.testbed.tensorrt.material import SHAPE, photos


def _library(version: str) -> Library:
    """A module of that version, as far as its number and the names that change go."""
    trt = ModuleType("tensorrt")
    trt.__version__ = version  # type: ignore[attr-defined]
    trt.BuilderFlag = ModuleType("BuilderFlag")  # type: ignore[attr-defined]
    if int(version.partition(".")[0]) < 11:
        trt.BuilderFlag.FP16 = 0  # type: ignore[attr-defined]
        trt.IInt8EntropyCalibrator2 = object  # type: ignore[attr-defined]
    return of_module(trt)


def _model(*forms: str, inputs: int = 2) -> Model:
    return Model("m", {form: Path(f"{form}.onnx") for form in forms}, 1, {}, photos(inputs))


OLD, NEW = _library("10.3.0"), _library("11.4.1")


@pytest.mark.parametrize("library", [OLD, NEW])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_precision_is_its_own_file(library: Library, precision: str) -> None:
    made = order(library, _model("fp32", "fp16"), precision, Device())
    assert (made.path.stem, made.calibration, made.shapes) == (precision, None, {"x": SHAPE})


@pytest.mark.parametrize(("library", "device"), [(OLD, Device()), (NEW, Device()), (NEW, Device(0))])
def test_int8_is_the_symmetric_form_before_a_users_own_file(library: Library, device: Device) -> None:
    assert order(library, _model("fp32", "int8", "int8-trt"), "int8", device).path.stem == "int8-trt"
    assert order(library, _model("fp32", "int8"), "int8", device).path.stem == "int8"


def test_int8_of_a_dla_until_tensorrt_10_is_calibrated_from_fp32() -> None:
    model = _model("fp32", "int8-trt")
    made = order(OLD, model, "int8", Device(1))
    assert made.path.stem == "fp32"
    assert made.calibration == model.inputs


@pytest.mark.parametrize("model", [_model("int8"), _model("fp32", inputs=0)])
def test_without_what_calibration_needs_the_cure_is_said(model: Model) -> None:
    with pytest.raises(CannotLoad, match="makes INT8 for dla0 of the fp32 file and the workload's inputs"):
        order(OLD, model, "int8", Device(0))


def test_a_dla_does_not_compute_in_fp32() -> None:
    with pytest.raises(CannotLoad, match="dla0 computes in fp16 and int8, not in fp32"):
        order(OLD, _model("fp32"), "fp32", Device(0))


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_without_a_file_is_refused_by_name(precision: str) -> None:
    with pytest.raises(CannotLoad, match=f"'m' has no file at {precision}, only at fp32"):
        order(NEW, _model("fp32"), precision, Device())


@pytest.mark.parametrize("version", ["8.6.2", "10.3.0", "10.7.0", "11.4.1"])
def test_a_version_with_dla_has_the_cores_of_the_board(version: str) -> None:
    library = _library(version)
    library.require_dla(cores=1, core=0)
    with pytest.raises(CannotLoad, match="this board has one DLA, dla0, says .*leave dla1 out"):
        library.require_dla(cores=1, core=1)


@pytest.mark.parametrize("version", ["10.8.0", "10.13.3.9", "10.16.2", "11.0.0", "11.3.0"])
def test_a_version_without_dla_is_told_by_its_number(version: str) -> None:
    with pytest.raises(CannotLoad, match=f"TensorRT {version} has no DLA: 10.7"):
        _library(version).require_dla(cores=2, core=0)


def test_a_version_that_is_too_old_says_which_will_do() -> None:
    with pytest.raises(CannotLoad, match="TensorRT 8.5.2 is too old, 8.6 is the oldest"):
        _library("8.5.2")


def test_type_stubs_are_not_taken_for_tensorrt() -> None:
    with pytest.raises(CannotLoad, match="only type stubs"):
        of_module(ModuleType("tensorrt"))


def test_without_tensorrt_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(CannotLoad, match="comes with JetPack.*--system-site-packages"):
        open_library()
