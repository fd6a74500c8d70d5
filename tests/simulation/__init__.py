"""The whole of several servers in one thread, from one seed: see :mod:`tests.simulation.world`."""
