"""LunarLander-v3 around the physics: the game, the step of many landers, Gymnasium's vector environment."""
