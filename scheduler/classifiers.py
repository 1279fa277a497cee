"""Support-vector machine and nearest neighbours: the state names the action that was best in a like one (SVM, KNN)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scheduler.choices import accurate
from scheduler.contract import Action, Outcome, State
from scheduler.features import as_numbers
from scheduler.fixed import least_energy
from scheduler.libraries import scikit_learn
from scheduler.profile import ProfileRecord, mean_outcomes


class Classifier:
    """Predicts the best action of a state from the best actions of profiled ones.

    Records of one task under one condition (loads to a tenth, signals to 5 dB) make one example; its label is the
    action that came out best: the least energy in time among the accurate.
    """

    def __init__(self, records: Sequence[ProfileRecord], make: Callable[[int], Any]) -> None:
        """`make` gives an unfitted classifier of scikit-learn for a number of examples."""
        examples: dict[tuple[object, ...], list[ProfileRecord]] = {}
        for record in records:
            examples.setdefault(_condition(record.state), []).append(record)
        labels = [_best(group) for group in examples.values()]
        self._actions = [action for action, _ in Counter(labels).most_common()]
        self._estimator = None
        if len(self._actions) > 1:
            x = np.array([as_numbers(group[0].state) for group in examples.values()])
            self._estimator = make(len(labels)).fit(x, [self._actions.index(label) for label in labels])

    def select(self, state: State, actions: Sequence[Action]) -> Action:
        """The predicted action; where that is not accurate or not on offer, the one most often best that is."""
        candidates = accurate(state.task, actions)
        predicted = 0 if self._estimator is None else int(self._estimator.predict([as_numbers(state)])[0])
        for action in (self._actions[predicted], *self._actions):
            if action in candidates:
                return action
        return candidates[0]

    def update(self, state: State, action: Action, outcome: Outcome) -> None:
        """Learns nothing on line."""


def _condition(state: State) -> tuple[object, ...]:
    loads = round(10.0 * state.co_cpu), round(10.0 * state.co_memory)
    return state.task.name, *loads, round(state.rssi_dbm / 5.0), round(state.peer_rssi_dbm / 5.0)


def _best(group: Sequence[ProfileRecord]) -> Action:
    task = group[0].state.task
    outcomes = mean_outcomes(group)[task.name]
    return least_energy(task, {action: outcomes[action] for action in accurate(task, list(outcomes))})


def support_vector_machine(records: Sequence[ProfileRecord]) -> Classifier:
    """SVM with a Gaussian kernel, on standardised features."""
    scaled, svm = scikit_learn("preprocessing").StandardScaler, scikit_learn("svm").SVC
    make_pipeline = scikit_learn("pipeline").make_pipeline
    return Classifier(records, lambda examples: make_pipeline(scaled(), svm(C=10.0)))


def nearest_neighbours(records: Sequence[ProfileRecord], neighbours: int = 3) -> Classifier:
    """KNN, nearer ones counting more."""
    knn = scikit_learn("neighbors").KNeighborsClassifier
    return Classifier(records, lambda examples: knn(min(neighbours, examples), weights="distance"))
