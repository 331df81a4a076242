"""What of the GPU's learner can be tested without one: that its graph is captured and replayed at the right moments."""

import contextlib

import pytest
import torch

from fastlander import DQN, Config
from fastlander.learner.torch_learner import WARM_UPS
from tests.twins import random_batch


class RecordedGraph:
    """Stands in for torch.cuda.CUDAGraph: a launch does on the CPU what was done while it recorded."""

    def __init__(self, learner, vectors):
        self.learner, self.vectors = learner, vectors
        self.replays = 0

    @contextlib.contextmanager
    def record(self):
        before = [vector.clone() for vector in self.vectors]
        yield
        for vector, old in zip(self.vectors, before, strict=True):  # recording computes nothing
            vector.copy_(old)

    def replay(self):
        self.replays += 1
        self.learner._graph_loss.copy_(self.learner._step())


@pytest.fixture
def captured(monkeypatch):
    """A DQN whose torch updates go the way they would on CUDA, and the graphs it captures."""
    dqn, graphs = DQN(Config(batch_size=32, target_update_freq=2)), []
    learner = dqn._torch_learner
    vectors = [dqn.q_network.flat, dqn.q_network.flat_grad, dqn.optimizer._steps]
    vectors += [torch.from_numpy(array) for array in dqn.optimizer.vectors[2:]]

    def new_graph():
        graphs.append(RecordedGraph(learner, vectors))
        return graphs[-1]

    class Stream:
        def wait_stream(self, other):
            pass

    monkeypatch.setattr(learner, "_captures", True)
    monkeypatch.setattr("torch.cuda.CUDAGraph", new_graph)
    monkeypatch.setattr("torch.cuda.graph", lambda graph: graph.record())

    class Event:
        def synchronize(self):
            pass

        def record(self):
            pass

    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.Stream", Stream)
    monkeypatch.setattr("torch.cuda.current_stream", Stream)
    monkeypatch.setattr("torch.cuda.stream", lambda stream: contextlib.nullcontext())
    return dqn, graphs


def test_replayed_updates_are_the_eager_ones(captured):
    dqn, graphs = captured
    eager = DQN(dqn.config)
    for step in range(12):
        dqn.learning_rate = eager.learning_rate = 1e-3 / (1 + step)
        dqn.update(random_batch(seed=step))
        eager.update(random_batch(seed=step))
        assert torch.equal(dqn.q_network.flat, eager.q_network.flat)
        assert torch.equal(dqn.target, eager.target)
        assert float(dqn.loss) == float(eager.loss)
    assert len(graphs) == 1
    assert graphs[0].replays == 12 - WARM_UPS


def test_a_batch_of_another_size_is_captured_anew(captured):
    dqn, graphs = captured
    eager = DQN(dqn.config)
    for step in range(10):
        rows = 32 if step < 6 else 48
        dqn.update(random_batch(rows, seed=step))
        eager.update(random_batch(rows, seed=step))
    assert torch.equal(dqn.q_network.flat, eager.q_network.flat)
    assert [graph.replays for graph in graphs] == [6 - WARM_UPS, 4]
