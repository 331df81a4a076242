"""A policy exported by `fastlander export DIR`, flown by onnxruntime without torch: `python onnx_policy.py DIR`."""

import sys
from pathlib import Path

import gymnasium as gym
import onnxruntime

session = onnxruntime.InferenceSession(Path(sys.argv[1]) / "model.onnx", providers=["CPUExecutionProvider"])
env = gym.make("LunarLander-v3")
obs, _ = env.reset(seed=0)
score, over = 0.0, False
while not over:
    (values,) = session.run(["values"], {"obs": obs[None]})
    obs, reward, terminated, truncated, _ = env.step(int(values.argmax()))
    score, over = score + reward, terminated or truncated
print(f"return {score:.1f}")
