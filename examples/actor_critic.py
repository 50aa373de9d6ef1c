"""Actor and critic: two nets learn to balance a pole on a cart, stepped by hand.

The actor says how likely it is to push right, the critic how long the pole will stay up from here. Neither has a loss
that `fit` knows: the gradient of the actor's outputs is written down here and passed to `backward`, and the optimizer
takes a step of limited length. What the critic shall say follows from a second critic, which follows the first slowly.
"""

import time

import numpy as np
from picture import save_picture

from fastnn import Adam, Dense, Model

POLES, STEPS, UPDATES = 32, 16, 500  # poles that are balanced at once, steps before an update, updates at most
LONGEST, SOLVED = 200, 195  # steps of an episode; it is solved where 20 episodes last that long on average
DISCOUNT, TRACE, ENTROPY, TAU = 0.98, 0.95, 0.005, 0.02


class CartPole:
    """Poles on carts, all at once (Barto, Sutton & Anderson 1983): position, speed, angle and its speed of each."""

    def __init__(self, n, rng):
        self.rng, self.state, self.age = rng, np.zeros((n, 4)), np.zeros(n, int)
        self.begin(np.full(n, True))

    def begin(self, which):
        """Put some poles up again."""
        self.state[which] = self.rng.uniform(-0.05, 0.05, (which.sum(), 4))
        self.age[which] = 0

    def step(self, right):
        """Push each cart with 10 N for 20 ms, and return which poles have fallen, or left the track."""
        _, speed, angle, turn = self.state.T
        sine, cosine = np.sin(angle), np.cos(angle)
        push = (np.where(right, 10.0, -10.0) + 0.05 * turn**2 * sine) / 1.1
        turning = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        change = np.stack([speed, push - 0.05 * turning * cosine / 1.1, turn, turning], axis=1)
        self.state = self.state + 0.02 * change
        self.age += 1
        return (np.abs(self.state[:, 0]) > 2.4) | (np.abs(self.state[:, 2]) > np.deg2rad(12))


def returns_of(actor, rng, episodes=20):
    """How long poles stay up, at most 200 steps, where each push is the likelier one."""
    poles, up = CartPole(episodes, rng), np.full(episodes, True)
    total = np.zeros(episodes)
    for _ in range(LONGEST):
        up &= ~poles.step(actor.predict(poles.state)[:, 0] > 0)
        total += up
    return total


def play(actor, critic, poles):
    """Return what was seen and done in some steps, the advantages, and what the critic should have said."""
    seen, pushes, rewards, ends, falls, after = [], [], [], [], [], []
    for _ in range(STEPS):
        seen.append(poles.state)
        likely = 1 / (1 + np.exp(-actor.predict(poles.state)[:, 0]))
        pushes.append(poles.rng.random(len(likely)) < likely)
        fell = poles.step(pushes[-1])
        after.append(poles.state.copy())
        falls.append(fell)
        ends.append(fell | (poles.age >= LONGEST))
        rewards.append(np.where(fell, 0.0, 1 - DISCOUNT))  # so that values are from 0 to 1
        poles.begin(ends[-1])
    value, following = (critic.predict(np.concatenate(x)).reshape(STEPS, -1) for x in (seen, after))
    surprise = np.array(rewards) + DISCOUNT * following * ~np.array(falls) - value
    advantage, later = np.empty_like(surprise), 0.0
    for step in reversed(range(STEPS)):  # generalized advantages: Schulman et al. 2016
        advantage[step] = later = surprise[step] + DISCOUNT * TRACE * ~ends[step] * later
    return np.concatenate(seen), np.concatenate(pushes), advantage.ravel(), (advantage + value).ravel()


def learn(actor, critic, follower, poles, optimizers):
    """Take one step with each net on what the actor has just done."""
    seen, pushes, advantage, target = play(actor, follower, poles)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-6)
    logit = actor.forward(seen)[:, 0]
    likely = 1 / (1 + np.exp(-logit))
    policy = (likely - pushes) * advantage  # of -advantage * log(probability of the push)
    entropy = likely * (1 - likely) * logit  # of minus the entropy: it keeps the actor curious
    actor.backward((policy + ENTROPY * entropy)[:, None] / len(seen))
    optimizers[0].step(actor)
    critic.backward(2 * (critic.forward(seen) - target[:, None]) / len(seen))
    optimizers[1].step(critic)
    follower.soft_update(critic, TAU)


def main():
    rng, start = np.random.default_rng(0), time.perf_counter()
    actor = Model([Dense(64, "tanh"), Dense(1)], seed=1)
    critic, follower = (Model([Dense(64, "tanh"), Dense(1)], seed=2).build(4) for _ in range(2))
    optimizers = Adam(0.003, clip_norm=0.5), Adam(0.003, clip_norm=0.5)
    poles, means = CartPole(POLES, rng), []
    for update in range(UPDATES):
        learn(actor, critic, follower, poles, optimizers)
        if update % 25 == 24:
            means.append(returns_of(actor, rng).mean())
            print(f"after {update + 1:4} updates: a pole stays up for {means[-1]:5.1f} steps")
            if means[-1] == LONGEST:
                break
    seconds, returns = time.perf_counter() - start, returns_of(actor, np.random.default_rng(1))
    verdict = "solved" if returns.mean() >= SOLVED else "not solved"
    print(f"{verdict}: 20 new episodes last {returns.mean():.1f} of {LONGEST} steps, after {seconds:.1f} s")

    def draw(axes):
        axes.plot(25 * np.arange(1, len(means) + 1), means, marker=".")
        axes.axhline(SOLVED, color="grey", linewidth=0.8)
        axes.set(title="Balancing a pole", xlabel="updates", ylabel="steps that it stays up, of 200")

    save_picture("actor_critic.png", draw, columns=1)
    return returns, seconds


if __name__ == "__main__":
    main()
