"""Libraries that only an evaluation needs: never part of what runs on a board."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class MissingLibraryError(ImportError):
    """An optional library is not installed."""


def scikit_learn(module: str) -> Any:
    """A module of scikit-learn. Raises MissingLibraryError, saying what to install."""
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingLibraryError(
            "this policy is built on scikit-learn, which is not installed; pip install scikit-learn"
        ) from error
