"""
Pieces of clothing by multi-spike temporal coding: the network of the scenario mnist, other images.

Published: nothing; Yamamoto, Sakemi & Aihara train on MNIST only, so the table has no numbers to
compare with.  Network, codes, losses, recipes and options are those of the scenario mnist
(`eventsim info mnist`); `--published` is the paper's protocol, applied to Fashion-MNIST.

  eventsim run fashion_mnist                      a few epochs, one network
  eventsim run fashion_mnist --full               100 epochs, three networks
  eventsim run fashion_mnist --rows               multi- and single-spike, leaky and non-leaky
  eventsim run fashion_mnist --sweep tau          tau_I from 0.2 to 6.4, multi and single
"""

from scenarios.mnist import PICTURES

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Which piece of clothing is in an image? Each of its 784 pixels fires once, the brighter the "
    "earlier; hidden neurons fire any number of times or once, and the output neuron with the "
    "highest potential at the end names the piece."
)
