"""How layers are cut: every neuron and every synapse once, wide tiles in whole vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given

import eventsim as es
from eventsim._layout.layers import (
    LANES,
    MOST_BLOCKS,
    VECTOR,
    Layer,
    layered_obstacle,
    layers_of,
    layers_pay,
)
from eventsim._layout.wiring import layout_of
from tests.helpers.feedforward import SMALL, WIDE, Recipe, general, recipes
from tests.helpers.strategies import examples

EITHER = (*SMALL, *WIDE)


def blocks_of_tiles(layer: Layer) -> np.ndarray:
    return np.repeat(np.arange(layer.n_blocks), np.diff(layer.tiles.first))


@given(general(EITHER, receptors=(1, 2, 3)))
@examples(0.5)
def test_every_neuron_has_one_lane(recipe: Recipe) -> None:
    network = recipe.model().network
    neurons = layout_of(network).neurons
    for layer in layers_of(network):
        tiles, part = layer.tiles, network.neurons_of(layer.population)
        assert (layer.first, layer.n) == (part.start, part.stop - part.start)
        width = np.repeat(tiles.width, np.diff(tiles.first))
        np.testing.assert_array_equal(tiles.lane, np.cumsum(width) - width)
        assert tiles.neuron.size == width.sum()
        real = tiles.neuron >= 0
        assert sorted(tiles.neuron[real]) == list(range(layer.n))
        number = layer.first + tiles.neuron[real]
        n_receptors = len(tiles.receptors)
        assert n_receptors == len(network.neurons[layer.population].columns)
        for rate, of_kind in (
            (tiles.alpha, neurons.alpha[:, :n_receptors]),
            (tiles.beta, neurons.beta),
        ):
            own = of_kind[neurons.kind[number]]
            np.testing.assert_array_equal(np.repeat(rate, width, axis=0)[real], own)
        pairs = np.unique(
            np.stack([neurons.kind[number], np.repeat(tiles.kind, width)[real]]), axis=1
        )
        np.testing.assert_array_equal(pairs[1], np.arange(pairs.shape[1]))
        for name in ("threshold", "bias", "refractory"):
            values = getattr(tiles, name)
            np.testing.assert_array_equal(values[real], getattr(neurons, name)[number])
        assert np.all(np.isinf(tiles.threshold[~real]))
        assert not np.any(tiles.bias[~real])
        assert layer.is_biased == bool(np.any(neurons.bias[number] != 0.0))


@given(recipes(EITHER))
@examples(0.5)
def test_wide_tiles_are_whole_vectors(recipe: Recipe) -> None:
    for layer in layers_of(recipe.model().network):
        width = layer.tiles.width
        assert np.all((width >= 1) & (width <= LANES))
        assert np.all((width < VECTOR) | (width % VECTOR == 0))
        wasted = np.add.reduceat(layer.tiles.neuron < 0, layer.tiles.lane)
        assert np.all(wasted < VECTOR)


def synapses_of(network: es.Network, layer: Layer) -> list[tuple[int, int, float, float, int]]:
    """(source, neuron, weight, delay, receptor) of every synapse, read from the tables."""
    tiles, table = layer.tiles, layer.table(network)
    delay = np.zeros(layer.n_sources)
    for synapses in layer.synapses:
        delay[synapses.sources] = synapses.delay
    found = []

    def put(source: int, block: int, tile: int, row: int, late: float) -> None:
        width = tiles.width[block]
        assert 0 <= row < tiles.rows[tile] - 1
        start = tiles.table[tile] + row * width
        receptor = int(tiles.receptor[start]) if len(tiles.receptors) > 1 else 0
        for lane in range(width):
            neuron = tiles.neuron[tiles.lane[tile] + lane]
            if neuron >= 0:
                synapse = source, int(neuron), table[start + lane], delay[source] + late, receptor
                found.append(synapse)
            else:
                assert table[start + lane] == 0.0

    for tile, block in enumerate(blocks_of_tiles(layer)):
        last = tiles.table[tile] + (tiles.rows[tile] - 1) * tiles.width[block]
        assert not np.any(table[last : last + tiles.width[block]])
        if layer.reach is None:
            for source in range(layer.n_sources):
                put(source, block, tile, source, 0.0)
    if layer.reach is not None:
        reach = layer.reach
        for block in range(layer.n_blocks):
            for source in range(layer.n_sources):
                for r in range(reach.first[block, source], reach.first[block, source + 1]):
                    assert tiles.first[block] <= reach.tile[r] < tiles.first[block + 1]
                    put(source, block, reach.tile[r], reach.row[r], reach.delay[r])
    return sorted(found)


def synapses_given(network: es.Network, layer: Layer) -> list[tuple[int, int, float, float, int]]:
    """The same, from the projections."""
    expected, start = [], 0
    for key, p in network.projections.items():
        if p.post != layer.population:
            continue
        assert layer.synapses[len(expected)].key == key
        if isinstance(p.weights, es.Convolution):
            indptr, post, parameter = p.weights.synapses()
            pre = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
        else:
            matrix = scipy.sparse.csr_array(p.weights)
            pre, post = matrix.tocoo().coords
            parameter = np.arange(matrix.nnz)
        late = np.broadcast_to(p.delay_values, p.values.shape)[parameter]
        weights = p.values[parameter]
        receptor = np.full(post.size, p.receptor)
        expected.append(list(zip(pre + start, post, weights, late, receptor, strict=True)))
        start += p.weights.shape[0]
    return sorted(tuple(s) for part in expected for s in part)


@given(general(receptors=(1, 2, 3)))
def test_every_synapse_has_one_place(recipe: Recipe) -> None:
    network = recipe.model().network
    for layer in layers_of(network):
        assert synapses_of(network, layer) == synapses_given(network, layer)


@given(recipes(EITHER))
@examples(0.5)
def test_what_is_written_into_the_tables_is_read_back(recipe: Recipe) -> None:
    """Summed, where several synapses of different tables have one weight, and over all rows."""
    network = recipe.model().network
    for layer in layers_of(network):
        table = layer.table(network)
        assert table.size == layer.table_size
        copies = 0
        for synapses in layer.synapses:
            values = network.projections[synapses.key].values
            each = synapses.weights.read(np.ones((1, table.size)), values.size)
            for rows in (table[None], np.stack([table, 2.0 * table, -4.0 * table])):
                found = synapses.weights.read(rows, values.size)
                factor = 1.0 if len(rows) == 1 else -1.0
                np.testing.assert_allclose(found, factor * each * values, rtol=1e-12)
            copies += int(each.sum())
        assert np.count_nonzero(table) == copies


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 127, 128, 129, 160, 400])
def test_an_all_to_all_layer_has_the_fewest_tiles(n: int) -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", n, es.LIF())
    network.connect("in", "p", weights=np.ones((2, n)))
    (layer,) = layers_of(network)
    assert layer.reach is None
    assert layer.n_blocks == -(-n // LANES)
    width = layer.tiles.width
    assert width.max() - width.min() <= VECTOR
    assert width.sum() == (n if n < VECTOR else -(-n // VECTOR) * VECTOR)


def test_kinds_of_neurons_have_tiles_of_their_own() -> None:
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", 90, es.LIF(tau_mem=np.tile([1.0, 2.0, 3.0], 30)))
    network.connect("in", "p", weights=np.ones((2, 90)))
    (layer,) = layers_of(network)
    assert layer.tiles.width.tolist() == [30, 30, 30]
    assert len(set(layer.tiles.kind.tolist())) == 3


def test_places_of_a_convolution_share_the_kernel() -> None:
    conv = es.Convolution(np.ones((40, 3, 2, 2)), (5, 4))
    network = es.Network()
    network.add_input("in", conv.shape[0])
    network.add_population("p", conv.shape[1], es.LIF())
    network.connect("in", "p", weights=conv)
    (layer,) = layers_of(network)
    assert layer.tiles.lane.size == 4 * 3 * layer.n_blocks
    assert layer.tiles.width.sum() == 64
    assert layer.table_size == (3 * 2 * 2 + 1) * 64


@pytest.mark.parametrize(("block", "n_blocks"), [(201, 1), (25, 8), (1, MOST_BLOCKS)])
def test_single_neurons_are_shared_out_evenly(
    block: int, n_blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventsim._layout.layers.BLOCK", block)
    network = es.Network()
    network.add_input("in", 2)
    network.add_population("p", 100, es.LIF())
    network.connect("in", "p", weights=scipy.sparse.csr_array(np.ones((2, 100))))
    (layer,) = layers_of(network)
    assert layer.n_blocks == n_blocks
    sizes = np.diff(layer.tiles.first)
    assert sizes.sum() == 100
    assert sizes.max() - sizes.min() <= 1
    assert layer.tiles.width.tolist() == [1] * n_blocks


# --- order, and where it applies ------------------------------------------------------------------


def chain(*order: str, **lif: Any) -> es.Network:
    """in -> a -> b -> c, with a skip from a to c; populations are added in the given order."""
    network = es.Network()
    network.add_input("in", 2)
    for name in order:
        network.add_population(name, 2, es.LIF(**lif))
    for pre, post in (("b", "c"), ("a", "c"), ("in", "a"), ("a", "b")):
        network.connect(pre, post, weights=np.ones((2, 2)))
    return network


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_layers_come_after_all_that_lead_to_them(order: str) -> None:
    network = chain(*order)
    assert [layer.population for layer in layers_of(network)] == ["a", "b", "c"]
    assert layered_obstacle(network) is None


def test_a_loop_of_any_length_is_an_obstacle() -> None:
    network = chain(*"abc")
    network.add_population("d", 1, es.LIF())
    network.connect("c", "b", weights=np.ones((2, 2)))
    assert "['b', 'c'] feed back" in str(layered_obstacle(network))
    with pytest.raises(ValueError, match=r"\['b', 'c'\] feed back"):
        layers_of(network)
    alone = es.Network()
    alone.add_population("p", 2, es.LIF())
    alone.connect("p", "p", weights=np.eye(2))
    assert "['p'] feed back" in str(layered_obstacle(alone))


def test_layers_pay_for_dense_weights_convolutions_and_pools() -> None:
    network = chain(*"abc")
    assert layers_pay(network)
    network.add_population("image", 4, es.LIF())
    network.add_population("pool", 1, es.LIF.earliest())
    network.connect("in", "image", weights=es.Convolution(np.ones((4, 1, 1, 2)), (1, 2)))
    network.connect("image", "pool", weights=es.pooling((1, 2, 2), 2))
    assert layers_pay(network)
    each = network.replace(delays={("in", "a"): np.ones((2, 2))})
    assert not layers_pay(each)
    mixed = network.replace(neurons={"image": es.LIF(tau_mem=[1.0, 1.0, 2.0, 2.0])})
    assert not layers_pay(mixed)
    network.connect("in", "b", weights=scipy.sparse.csr_array(np.ones((2, 2))))
    assert not layers_pay(network)
    several = es.Network()
    several.add_input("in", 2)
    several.add_population("p", 4, es.LIF(tau_syn={"exc": 1.0, "inh": 2.0}))
    several.connect("in", "p", weights=np.ones((2, 4)))
    several.connect("in", "p", weights=-np.ones((2, 4)), receptor="inh")
    assert layers_pay(several)
    bare = es.Network()
    bare.add_population("p", 2, es.LIF())
    assert not layers_pay(bare)


@pytest.mark.parametrize(("n_kinds", "pays"), [(1, True), (8, True), (12, True), (13, False)])
def test_layers_do_not_pay_for_many_time_constants(n_kinds: int, pays: bool) -> None:
    """Each pair of them takes tiles of its own: 400 neurons may have 12."""
    network = es.Network()
    network.add_input("in", 2)
    tau_mem = 1.0 + np.arange(400) % n_kinds
    network.add_population("p", 400, es.LIF(tau_mem=tau_mem, tau_syn=0.5))
    network.connect("in", "p", weights=np.ones((2, 400)))
    assert layers_pay(network) == pays


def test_networks_that_differ_in_weights_share_their_layers() -> None:
    network = chain(*"abc")
    layers = layers_of(network)
    other = network.replace(weights={("a", "b"): np.full((2, 2), 3.0)})
    assert layers_of(other) is layers
    table = layers[1].table(other)
    assert sorted(set(table)) == [0.0, 3.0]
    assert layers_of(network.replace(delays={("a", "b"): 0.5})) is not layers
    assert layers_of(network.replace(neurons={"a": es.LIF(2.0)})) is not layers
    network.connect("in", "b", weights=np.ones((2, 2)))
    assert layers_of(network) is not layers
    assert layers_of(other) is layers
