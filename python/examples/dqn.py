"""DQN on Gymnasium's CartPole, whose Q-network is held by osn.

    pip install gymnasium
    python python/examples/dqn.py --rule cap:target=2 --steps 20000

Compare with ``--rule never``, and with ``--rule lr_over_max_sigma``, which divides the learning rate and leaves the
function alone (Gogianu et al. 2021).
"""

import argparse
import copy
import random
from collections import deque

import gymnasium
import torch
from torch import nn

import osn

GAMMA, BATCH, COPY_EVERY = 0.99, 64, 200


def act(q, observation, epsilon):
    if random.random() < epsilon:
        return random.randrange(2)
    with torch.no_grad():
        return int(q(torch.tensor(observation)).argmax())


def loss_of(q, target, batch):
    before, actions, rewards, after, ended = (torch.tensor(column) for column in zip(*batch))
    with torch.no_grad():
        value = rewards + GAMMA * target(after).amax(1) * (1 - ended)
    return nn.functional.smooth_l1_loss(q(before).gather(1, actions[:, None])[:, 0], value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rule", default="cap:target=2")
    parser.add_argument("--steps", type=int, default=20000)
    options = parser.parse_args()
    torch.manual_seed(0)
    random.seed(0)
    environment = gymnasium.make("CartPole-v1")
    q = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))
    control = osn.attach(q, "**.weight", options.rule)
    # A copy keeps the state that it was made with: the target network is never stepped.
    target, optimizer = copy.deepcopy(q), torch.optim.Adam(q.parameters(), 1e-3)
    memory, returns, total = deque(maxlen=10_000), [], 0.0
    observation, _ = environment.reset(seed=0)
    for step in range(1, options.steps + 1):
        action = act(q, observation, max(0.05, 1 - step / (0.3 * options.steps)))
        after, reward, ended, cut, _ = environment.step(action)
        memory.append((observation.tolist(), action, reward, after.tolist(), float(ended)))
        observation, total = after, total + reward
        if ended or cut:
            returns.append(total)
            observation, total = environment.reset()[0], 0.0
        if len(memory) >= BATCH:
            loss = loss_of(q, target, random.sample(memory, BATCH))
            optimizer.zero_grad()
            loss.backward()
            control.observe()
            control.optimize(optimizer)
            control.step(train_loss=loss)
        if step % COPY_EVERY == 0:
            target.load_state_dict(q.state_dict())
            last = returns[-20:]
            print(f"step {step}: mean return of the last {len(last)} episodes {sum(last) / max(1, len(last)):.1f}")
    print(control.report())


if __name__ == "__main__":
    main()
