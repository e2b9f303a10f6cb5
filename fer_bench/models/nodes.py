"""An ONNX graph as it is written down: one call a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fer_bench.arrays import Array

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto


class Nodes:
    """The nodes of a graph as they are made, in order.

    Attributes:
        nodes: so far.
        constants: that they take.
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *inputs: str | int | float | Array, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output; numbers among its inputs are constants of 64 bits."""
        from onnx import helper

        names = [value if isinstance(value, str) else self.constant(np.asarray(value)) for value in inputs]
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **attributes))
        return output

    def add_several(self, operator: str, count: int, *inputs: str | Array) -> list[str]:
        """Add a node with several outputs and return their names."""
        first = self.add(operator, *inputs)
        outputs = [first, *(f"{first}_{number}" for number in range(1, count))]
        self.nodes[-1].output[:] = outputs
        return outputs

    def constant(self, values: Array) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def finish(self, name: str, entry: ValueInfoProto, answer: ValueInfoProto) -> GraphProto:
        """Return the graph of all nodes, from one input to one output."""
        from onnx import helper

        return helper.make_graph(self.nodes, name, [entry], [answer], self.constants)
