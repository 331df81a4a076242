import subprocess
import sys

# What the package does, in small: every kernel that it loads or compiles must be in the list, with the same types.
CODE = """
import gymnasium, numpy as np, torch
import fastlander
from fastlander import signatures
from fastlander.kernels.jit import KERNELS

listed = {(kernel, arguments) for kernel, arguments in signatures.every_kernel()}
settings = dict(num_envs=16, total_timesteps=1500, learning_starts=200, eval_episodes=3, progress=False)
for number, more in enumerate((dict(), dict(mirror_augmentation=True, n_step=3, double_dqn=False, batch_size=128))):
    fastlander.Trainer(fastlander.Config(output_dir=f"{FOLDER}/{number}", **settings, **more)).run()

env = gymnasium.make("fastlander:fastlander/LunarLander-v3")
agent = fastlander.Agent(env, seed=1)
agent.buffer_size = 80
agent.current_state, _ = env.reset(seed=1)
for step in range(120):
    agent.act()
    agent.next_state, agent.reward, agent.terminated, truncated, _ = env.step(agent.action)
    agent.save_experience()
    agent.learn()
    agent.current_state = env.reset()[0] if agent.terminated or truncated else agent.next_state


class Own(fastlander.Agent):
    def get_batch(self):
        super().get_batch()


own = Own(env, seed=2)
for name in ("current_states", "actions", "rewards", "next_states", "terminations"):
    setattr(own, name, getattr(agent, name))
own.buffer_size = own.n_experiences = 80
own.learn()
agent.current_states.sample(4)

landers = fastlander.LunarLanderVectorEnv(32, num_threads=2)
landers.reset(seed=1)
landers.step(np.zeros(32, int))
landers.close()

used = {(kernel, arguments) for kernel in KERNELS for arguments in kernel.overloads}
# A kernel inside a kernel is compiled with it.
inside = {"next_below", "next_uint64"}
print([(k.py_func.__name__, a) for k, a in used - listed if k.py_func.__name__ not in inside])
print([(k.py_func.__name__, a) for k, a in listed - used])
"""


def test_every_kernel_is_listed_with_the_types_it_is_called_with(tmp_path):
    code = CODE.replace("{FOLDER}", str(tmp_path))
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-2:] == ["[]", "[]"]
