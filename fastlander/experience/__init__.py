"""From steps to stored transitions: the collector, n-step returns, the replay buffer."""
