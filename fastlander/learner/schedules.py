"""What changes in the course of a run: epsilon and the learning rate."""

from fastlander.config import Config


def epsilon_at(config: Config, timesteps: int, episodes: int) -> float:
    """Epsilon after so many timesteps and finished episodes, by the configured schedule."""
    if config.epsilon_schedule == "per-episode":
        return max(config.epsilon_end, config.epsilon_start * config.epsilon_decay**episodes)
    if timesteps >= config.epsilon_timesteps:
        return config.epsilon_end
    return config.epsilon_start + (config.epsilon_end - config.epsilon_start) * timesteps / config.epsilon_timesteps


def learning_rate_at(config: Config, timesteps: int) -> float:
    """Adam's step size after so many timesteps: constant, or linear to `learning_rate_end` at `total_timesteps`."""
    if config.learning_rate_end is None:
        return config.learning_rate
    share = min(1.0, timesteps / config.total_timesteps)
    return config.learning_rate + (config.learning_rate_end - config.learning_rate) * share


def crossings(before: int, after: int, every: int) -> int:
    """Multiples of `every` in (before, after]."""
    return after // every - before // every
