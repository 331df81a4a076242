"""How much better a lander could be: plans for known flights, improved by evolution on the exact simulator.

python -m benchmarks.open_loop DIR [--flights 12] [--seconds 60] [--seed 1]

A flight is a seed: the same terrain, the same first push and, step by step, the same engine noise. The policy of the
run directory flies it, and the list of its actions is the first plan. Plans are then changed (stretches of one action,
steps left out or put in, halves of two plans joined), flown again from the same seed, and the best are kept. A plan
knows what no policy can know, so what evolution finds is beyond what a policy reaches: a bound from a search, no proof.
"""

import argparse
import time
from contextlib import closing

import numpy as np
from gymnasium.vector import AutoresetMode

from fastlander import LunarLanderVectorEnv
from fastlander.learner.fused.policy import FusedPolicy
from fastlander.storage.model_file import load_model
from fastlander.streams import draw_seeds

PLANS, PARENTS, LENGTH = 512, 48, 400
"""Plans of a generation, plans that are kept, steps of a plan. After its last step a plan fires no engine."""


def fly(env, seed, plans):
    """Fly plans, int64[PLANS, LENGTH], from one seed: returns and steps of each, float64 and int64[PLANS]."""
    env.reset(seed=[seed] * PLANS)
    returns, steps, flying = np.zeros(PLANS), np.zeros(PLANS, np.int64), np.ones(PLANS, bool)
    for t in range(LENGTH):
        _, reward, terminated, truncated, _ = env.step_some(np.ascontiguousarray(plans[:, t]), flying)
        returns += reward
        steps += flying
        flying &= ~(terminated | truncated)
        if not flying.any():
            break
    returns[flying] = -1_000  # not down in time: no plan to keep
    return returns, steps


def flown_by(policy, env, seed):
    """The policy's plan, int64[LENGTH], and its return. The environment's landers all fly the same."""
    obs, _ = env.reset(seed=[seed] * PLANS)
    plan, total = np.zeros(LENGTH, np.int64), 0.0
    for t in range(LENGTH):
        plan[t] = policy.greedy(obs[:1])[0]
        obs, reward, terminated, truncated, _ = env.step(np.full(PLANS, plan[t]))
        total += reward[0]
        if terminated[0] or truncated[0]:
            return plan, total
    raise SystemExit(f"open_loop: the policy is not down after {LENGTH} steps of flight {seed}; take a better one")


def changed(parents, lengths, rng):
    """A new generation, int64[PLANS, LENGTH]: the parents as they are, and changed copies of them."""
    plans = parents[np.arange(PLANS) % len(parents)].copy()
    lengths = lengths[np.arange(PLANS) % len(parents)]
    for k in range(len(parents), PLANS):
        plan, length = plans[k], lengths[k]
        if rng.random() < 0.2:
            cut = rng.integers(length)
            plan[cut:] = parents[rng.integers(len(parents))][cut:]
        for _ in range(rng.integers(1, 4)):
            at, long = rng.integers(length), min(rng.geometric(0.3), 12)
            kind = rng.random()
            if kind < 0.6:
                plan[at : at + long] = rng.integers(4)
            elif kind < 0.8:
                plan[at:-1] = plan[at + 1 :].copy()
            else:
                plan[at + 1 :] = plan[at:-1].copy()
                plan[at] = rng.integers(4)
    return plans


def improve(env, seed, plan, seconds, rng):
    """The return of the best plan that is found in so many seconds, and the generations."""
    parents, lengths, best, generations = plan[None], np.array([LENGTH]), -np.inf, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        plans = changed(parents, lengths, rng)
        returns, steps = fly(env, seed, plans)
        order = np.argsort(-returns, kind="stable")[:PARENTS]
        parents, lengths, best = plans[order], np.maximum(steps[order], 1), returns[order[0]]
        generations += 1
    return best, generations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--flights", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0, help="of evolution for each flight")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    q_network, _ = load_model(args.directory)
    policy, rng = FusedPolicy.of(q_network), np.random.default_rng(args.seed)
    before, after = [], []
    print("| flight | the policy | the best plan | generations |\n|---|---|---|---|")
    with closing(LunarLanderVectorEnv(PLANS, autoreset_mode=AutoresetMode.DISABLED)) as env:
        for seed in draw_seeds(rng, args.flights):
            plan, score = flown_by(policy, env, seed)
            best, generations = improve(env, seed, plan, args.seconds, rng)
            before.append(score), after.append(best)
            print(f"| {seed} | {score:.1f} | {best:.1f} | {generations} |", flush=True)
    gain = np.mean(after) - np.mean(before)
    print(f"| mean | {np.mean(before):.1f} | {np.mean(after):.1f} | gain {gain:.1f} |")


if __name__ == "__main__":
    main()
