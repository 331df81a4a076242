"""What compiled code is made with: Numba's settings, vectors of numbers, random numbers, threads that wait for work."""
