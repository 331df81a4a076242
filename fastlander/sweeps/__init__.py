"""Sweeps: a search for better settings, on Optuna, with trials that race over paired seeds."""
