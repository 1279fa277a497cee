"""An application that lets the engine pick where each inference runs: `python examples/embed_engine.py`."""

from __future__ import annotations

from pathlib import Path

from scheduler.bayesian import Bayesian
from scheduler.contract import Action, Network, Task
from scheduler.engine import Engine
from scheduler.estimator import Estimator
from testbed.agent.boards.linux import open_board
from testbed.agent.contract import Model
from testbed.agent.embedding import BoardWorld
from testbed.models import zoo

made = zoo.prepare("efficientnet-lite0", ["fp32", "int8"])
counts, photos = made.counts, made.inputs(4)
network = Network(made.name, counts.conv_layers, counts.fc_layers, counts.rc_layers, counts.macs, made.input_bytes)
accuracy = {precision: known.value for precision, known in made.accuracy.items()}
task = Task("photo", network, qos_s=0.05, accuracy_target=0.8, accuracy=accuracy)
model = Model(made.name, made.files, counts.macs, made.bytes_moved, photos)
actions = [Action("cpu", "fp32"), Action("cpu", "int8")]
# What this board draws, in watts. Meter a profile and use `Estimator.fit` for figures of your own.
energy = Estimator(idle_power_w=3.0, excess_power_w={("cpu", "fp32", None): 5.0, ("cpu", "int8", None): 5.0})

with (
    open_board({}) as board,
    BoardWorld(board, [(task, model)], actions, energy) as world,
    Engine(world, Bayesian(actions), fallback=actions[0], store=Path("photo.learnt")) as engine,
):
    for i in range(20):
        scores = engine.infer("photo", photos[i % len(photos)])["logits"]
    print(f"the last photo is of class {scores.argmax()}\n{engine.explain()}")
