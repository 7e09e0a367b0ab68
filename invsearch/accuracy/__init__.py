"""How good a network is: published, or trained as a proxy."""
