"""Strict YAML: a mistake is named with its file, its line and the nearest right key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from testbed.errors import BenchError


class Strict(BaseModel):
    """A part of a bench or suite: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Loader(yaml.SafeLoader):
    """As YAML 1.2 has it, only true and false are truth values: `on` and `off` are words, and may be keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it an instance's
        first: [(tag, pattern) for tag, pattern in found if first in "tTfF" or tag != "tag:yaml.org,2002:bool"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


M = TypeVar("M", bound=BaseModel)
_Location = tuple[int | str, ...]


def load(path: Path, schema: type[M]) -> M:
    """The file as `schema`. Raises BenchError naming every mistake with its line and cure."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{path}: is not a text file in UTF-8") from None
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise BenchError(f"{path}{line}: is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise BenchError(f"{path}: is not valid YAML: {error}") from None
    if not isinstance(data, Mapping):
        raise BenchError(f"{path}: holds no keys; see the files under examples/ for its form")
    _refuse_duplicate_keys(path, root)
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        problems = [_explain(path, root, schema, dict(problem)) for problem in error.errors()]
        raise BenchError("\n".join(dict.fromkeys(problems))) from None


def _refuse_duplicate_keys(path: Path, node: yaml.Node | None) -> None:
    for child in _walk(node):
        if isinstance(child, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in child.value:
                if key.value in seen:
                    raise BenchError(f"{path}:{key.start_mark.line + 1}: the key '{key.value}' stands here twice")
                seen.add(key.value)


def _walk(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if node is None:
        return
    yield node
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _walk(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _walk(value)


def _explain(path: Path, root: yaml.Node | None, schema: type[BaseModel], problem: dict[str, Any]) -> str:
    location: _Location = tuple(problem["loc"])
    line, written = _line_of(root, location)
    where = f"{path}:{line}: {'.'.join(written) or schema.__name__}"
    kind = problem["type"]
    if kind == "extra_forbidden":
        known = _keys_at(schema, location[:-1])
        near = get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{where}: unknown key; {hint}"
    if kind == "missing":
        return f"{where}: is missing"
    if kind == "union_tag_invalid":
        known = [tag.strip(" '") for tag in problem["ctx"]["expected_tags"].split(",")]
        found = problem["ctx"]["tag"]
        near = get_close_matches(found, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}"
        return f"{where}.kind: there is no kind '{found}'; {hint}"
    if kind == "union_tag_not_found":
        return f"{where}: 'kind' is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    given = problem["input"]
    shown = f" (found {given!r})" if isinstance(given, str | int | float | bool) and repr(given) not in message else ""
    return f"{where}: {message}{shown}"


def _line_of(root: yaml.Node | None, location: _Location) -> tuple[int, list[str]]:
    """The line that a pydantic location stands on, and the part of it that is written in the file.

    Pydantic's location also names union tags, which no file holds: they are passed over.
    """
    node, line, written = root, 1, []
    for depth, part in enumerate(location):
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    written.append(str(part))
                    break
            else:
                if depth == len(location) - 1:
                    written.append(str(part))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            written.append(str(part))
    return line, written


def _keys_at(schema: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that may stand at a location, over all members of the unions on the way."""
    models: list[type[BaseModel]] = [schema]
    for part in location:
        inner = [model for parent in models for model in _models_in(_field_type(parent, part))]
        if inner:
            models = inner
    return sorted({name for model in models for name in model.model_fields})


def _field_type(model: type[BaseModel], part: int | str) -> object:
    field = model.model_fields.get(str(part))
    return field.annotation if field else None


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]
