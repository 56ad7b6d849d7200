"""
Which spike caused which
========================

Every spike has causes: the spikes that arrived before it, and its own neuron's earlier spikes.
`Result.causality` gives them as a graph, and says how much each cause counts.
"""

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np

import eventsim as es
import gradients

# %%
# Two inputs drive a ring of three neurons.

neuron = es.LIF(tau_mem=2.0, tau_syn=1.0, refractory=0.5)
net = es.Network()
net.add_input("in", 2)
net.add_population("ring", 3, neuron)
net.connect("in", "ring", weights=[[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]], delays=0.2)
net.connect("ring", "ring", weights=2.4 * np.roll(np.eye(3), 1, axis=1), delays=1.0)
result = es.simulate(net, {"in": es.Spikes([0.0, 1.5], [0, 1])}, t_stop=6.0)
graph = result.causality()
dag = graph.to_networkx()
for node, values in dag.nodes(data=True):
    name = f"{values['population']} {values['neuron']}"
    print(f"{node}: {name} at {values['time']:.3f}, caused by {sorted(dag.predecessors(node))}")

# %%
# We draw it.  Time goes to the right.  An edge leads from a cause to its effect.  Dashed edges are
# resets: a spike delays the next one of its neuron.  A synapse of weight 0 moves nothing, so we
# leave out its edges.

acting = [(g, f) for g, f, edge in dag.edges(data=True) if edge["dV_dg"] != 0.0]
drawn = dag.edge_subgraph(acting)
rows = {"in": 4, "ring": 0}
place = {
    node: (values["time"], rows[values["population"]] + values["neuron"])
    for node, values in drawn.nodes(data=True)
}
colors = ["C1" if values["kind"] == "input" else "C0" for _, values in drawn.nodes(data=True)]
styles = ["--" if edge["reset"] else "-" for _, _, edge in drawn.edges(data=True)]
fig, axes = plt.subplots(figsize=(8.0, 4.0), layout="constrained")
nx.draw_networkx_nodes(drawn, place, node_color=colors, node_size=250, ax=axes)
nx.draw_networkx_labels(drawn, place, font_size=8, font_color="white", ax=axes)
nx.draw_networkx_edges(
    drawn, place, style=styles, edge_color="gray", connectionstyle="arc3,rad=0.1", ax=axes
)
axes.tick_params(bottom=True, left=True, labelbottom=True, labelleft=True)
axes.set_yticks([0, 1, 2, 4, 5], ["ring 0", "ring 1", "ring 2", "in 0", "in 1"])
axes.set(xlabel="time")
plt.show()

# %%
# Who is behind the last spike?  All its ancestors are: networkx knows them.

last = max(drawn.nodes, key=lambda node: dag.nodes[node]["time"])
print(f"ancestors of spike {last}:", sorted(nx.ancestors(drawn, last)))

# %%
# How much does each input spike count?  Its derivative says by how much the last spike moves if the
# input spike moves by one unit.

which = np.zeros(result.spikes["ring"].times.size)
which[result.spikes["ring"].times.argmax()] = 1.0
gradient = gradients.timing_backprop(result, spike_times={"ring": which})
print("by the input times:", gradient.input_times["in"].round(6))
print("sum:", gradient.input_times["in"].sum().round(12))

# %%
# The sum is 1.  If all inputs come later by some time, so does everything else.
