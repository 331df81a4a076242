"""Deep Q-learning: networks, updates in torch and in fused kernels, the agents that act."""
