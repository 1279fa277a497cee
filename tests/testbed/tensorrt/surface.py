"""What the backend uses of TensorRT, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import testbed.agent.targets.tensorrt as backend

VARIABLES = {
    "builder": {
        "builder": "Builder",
        "config": "IBuilderConfig",
        "layer": "ILayer",
        "network": "INetworkDefinition",
        "plan": "IHostMemory",
        "timings": "ITimingCache",
    },
    "inspection": {"engine": "ICudaEngine", "inspector": "EngineInspector"},
    "network": {
        "builder": "Builder",
        "error": "ParserError",
        "layer": "ILayer",
        "network": "INetworkDefinition",
        "parser": "OnnxParser",
        "tensor": "ITensor",
    },
    "session": {"engine": "ICudaEngine", "_context": "IExecutionContext"},
    "target": {"runtime": "Runtime"},
    "targets": {"builder": "Builder"},
}
"""module -> variable, or attribute of self -> class of TensorRT it is of"""


class Use(NamedTuple):
    """One attribute that is used."""

    owner: str
    """class or enumeration; empty: the module itself"""
    attribute: str
    keywords: tuple[str, ...] = ()
    """it is called with"""


def uses() -> set[Use]:
    """All there are."""
    modules = sorted(Path(backend.__file__).parent.glob("*.py"))
    return {use for module in modules for use in _in(ast.parse(module.read_text()), VARIABLES.get(module.stem, {}))}


def _in(tree: ast.AST, variables: dict[str, str]) -> Iterator[Use]:
    called = {
        call.func: tuple(k.arg for k in call.keywords if k.arg) for call in ast.walk(tree) if isinstance(call, ast.Call)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = _owner(node.value, variables)
            if owner is not None:
                yield Use(owner, node.attr, called.get(node, ()))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr"):
            owner = _owner(node.args[0], variables)
            name = node.args[1]
            if owner is not None and isinstance(name, ast.Constant):
                yield Use(owner, str(name.value))


def _owner(node: ast.AST, variables: dict[str, str]) -> str | None:
    """The class that an expression is, or is of; None where it is nothing of TensorRT's."""
    if isinstance(node, ast.Name):
        return "" if node.id in ("trt", "tensorrt") else variables.get(node.id)
    if isinstance(node, ast.Attribute):
        if node.attr == "trt":
            return ""
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return variables.get(node.attr)
        if _owner(node.value, variables) == "":
            return node.attr
        if isinstance(node.value, ast.Attribute) and _owner(node.value.value, variables) == "":
            return node.attr  # an enumeration within a class: ILogger.Severity
    return None
