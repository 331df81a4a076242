"""A script of CleanRL, unchanged, on the native vector environment: `python cleanrl_script.py cleanrl/ppo.py [OPTION]`.

CleanRL's scripts are written for Gymnasium 0.29. There, an episode that ends is reset in the same step, and `infos`
holds "final_observation", and "final_info" with the return. `OldInfos` gives both, so the scripts log returns again.
"""

import runpy
import sys
from pathlib import Path

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics


class OldInfos(gym.vector.VectorWrapper):
    def step(self, actions):
        obs, reward, terminated, truncated, infos = self.env.step(actions)
        if "episode" in infos:
            ended, episode = infos["_episode"], infos["episode"]
            infos["final_observation"] = infos["final_obs"]
            infos["final_info"] = [
                {"episode": {"r": episode["r"][i], "l": episode["l"][i]}} if ended[i] else None
                for i in range(self.num_envs)
            ]
        return obs, reward, terminated, truncated, infos


def native(env_fns):
    env_id = env_fns[0]().spec.id
    envs = gym.make_vec(env_id, num_envs=len(env_fns), autoreset_mode=AutoresetMode.SAME_STEP)
    return OldInfos(RecordEpisodeStatistics(envs))


gym.vector.SyncVectorEnv = native
script = Path(sys.argv[1]).resolve()
sys.argv = [str(script), "--env-id", "fastlander:fastlander/LunarLander-v3", *sys.argv[2:]]
sys.path.insert(0, str(script.parent.parent))  # cleanrl_utils
runpy.run_path(str(script), run_name="__main__")
