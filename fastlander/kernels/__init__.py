"""How compiled code is made: Numba's settings, lanes of numbers, random numbers, threads that serve kernels."""
