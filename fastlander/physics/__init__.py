"""The part of Box2D 2.3 that a lander needs, under Box2D's names. Most functions take scalars and lanes alike."""
