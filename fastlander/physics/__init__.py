"""The part of Box2D 2.3 that a lander exercises, under Box2D's names; functions are generic over scalars and lanes."""
