"""LunarLander-v3 around the physics: the game, the step of many landers, the environment that Gymnasium finds."""
