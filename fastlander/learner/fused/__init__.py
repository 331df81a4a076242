"""The DQN update and the choice of actions as Numba kernels: the fast path on a CPU."""
