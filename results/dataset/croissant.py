"""Croissant metadata of a dataset: JSON-LD of the MLCommons Croissant format, version 1.0, with what its Responsible AI
extension asks about collection and personal data."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from results.dataset.columns import Column, Table
from results.dataset.folder import DatasetFacts
from results.dataset.tables import TABLES

CONFORMS_TO = ("http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0")
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""the context that the specification gives"""
_ABOUT = "Energy, latency and accuracy of neural-network inference on edge devices, trial by trial."
_COLLECTION = (
    "Seeded, blocked experiment plans carried out by edge-energy-testbed; energy by a power meter in the board's "
    "supply, with a standard uncertainty for every trial."
)
_NOTHING_PERSONAL = (
    "None: names of users, hosts and networks, addresses and serial numbers are left out or hashed with a salt that "
    "was not kept."
)


def croissant_text(facts: DatasetFacts) -> str:
    """The whole of croissant.json; the same for the same facts."""
    return json.dumps(_metadata(facts), indent=1, allow_nan=False) + "\n"


def _metadata(facts: DatasetFacts) -> dict[str, Any]:
    tables = [table for table in TABLES.values() if facts.rows(table.name)]
    about: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": facts.name,
        "description": f"{_ABOUT} {facts.statement}",
        "version": "1.0.0",
        "datePublished": facts.created,
        "keywords": ["energy", "edge computing", "inference", "power measurement", *facts.boards],
        "rai:dataCollection": _COLLECTION,
        "rai:personalSensitiveInformation": _NOTHING_PERSONAL,
    }
    if facts.license:
        about["license"] = f"https://spdx.org/licenses/{facts.license}.html"
    if facts.creators:
        about["creator"] = [{"@type": "sc:Person", "name": name} for name in facts.creators]
    return {
        **about,
        "distribution": [_files(table) for table in tables],
        "recordSet": [_records(table) for table in tables],
    }


def _files(table: Table[Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{table.name}-files",
        "name": f"{table.name}-files",
        "description": f"Parquet files: {table.says}.",
        "encodingFormat": "application/x-parquet",
        "includes": f"*{table.name}/*.parquet",
    }


def _records(table: Table[Any]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"A row is {table.says}.",
        "key": [{"@id": f"{table.name}/{name}"} for name in table.key],
        "field": [_field(table, column) for column in table.columns],
    }


def _field(table: Table[Any], column: Column[Any]) -> dict[str, Any]:
    unit = f" Unit: {column.unit}." if column.unit else ""
    listed = pa.types.is_list(column.kind)
    return {
        "@type": "cr:Field",
        "@id": f"{table.name}/{column.name}",
        "name": column.name,
        "description": f"{column.says}.{unit}",
        "dataType": _data_type(column.kind.value_type if listed else column.kind),
        **({"repeated": True} if listed else {}),
        "source": {"fileSet": {"@id": f"{table.name}-files"}, "extract": {"column": column.name}},
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
