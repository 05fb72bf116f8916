"""A DCGAN on Fashion-MNIST, whose discriminator is held by osn.

    python python/examples/dcgan.py --rule auto --steps 2000

Compare ``--rule auto``, ``--rule always`` and ``--rule never``. Networks and Adam are those of Radford et al. 2016
(DCGAN) at 32×32, the losses those of Goodfellow et al. 2014, not saturating. The images are the 10,000 of the project.
"""

import argparse
import gzip
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import softplus

import osn

DATA = Path(__file__).parents[2] / "crates/osn-recipes/assets/fashion-mnist/train-images-idx3-ubyte.gz"
LATENT, WIDTH, BATCH = 64, 32, 64


def images():
    pixels = torch.frombuffer(bytearray(gzip.decompress(DATA.read_bytes())[16:]), dtype=torch.uint8)
    return nn.functional.pad(pixels.view(-1, 1, 28, 28).float() / 127.5 - 1, (2, 2, 2, 2), value=-1.0)


def generator():
    layers, before = [nn.ConvTranspose2d(LATENT, 4 * WIDTH, 4)], 4 * WIDTH
    for width in (2 * WIDTH, WIDTH, 1):
        layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, width, 4, 2, 1)]
        before = width
    return nn.Sequential(*layers, nn.Tanh())


def discriminator():
    layers, before = [], 1
    for width in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        layers += [nn.Conv2d(before, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        before = width
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 4), nn.Flatten(0))


def separation(real, fake):
    """P(D(real) > D(fake)) − P(D(real) < D(fake)) over pairs."""
    return (real.detach()[:, None] - fake.detach()[None]).sign().mean()


def gradient_norm(d, fake):
    """E‖∇ₓD‖ at generated samples."""
    x = fake.detach().requires_grad_()
    return torch.autograd.grad(d(x).sum(), x)[0].flatten(1).norm(dim=1).mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rule", default="auto")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--run", help="a new folder for the record; `osn report` makes it a page")
    options = parser.parse_args()
    torch.manual_seed(0)
    data, g, d = images(), generator(), discriminator()
    control = osn.attach(d, "**.weight", options.rule, network="discriminator")
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    of_g, of_d = torch.optim.Adam(g.parameters(), **adam), torch.optim.Adam(d.parameters(), **adam)
    recorder = osn.Recorder(control, options.run, name="dcgan", data="Fashion-MNIST") if options.run else None
    for step in range(1, options.steps + 1):
        real = data[torch.randint(len(data), (BATCH,))]
        fake = g(torch.randn(BATCH, LATENT, 1, 1))
        on_real, on_fake = d(real), d(fake.detach())
        loss = softplus(-on_real).mean() + softplus(on_fake).mean()
        of_d.zero_grad()
        loss.backward()
        control.observe()
        of_d.step()
        norm = gradient_norm(d, fake) if control.decides_next else None
        changes = control.step(train_loss=loss, separation=separation(on_real, on_fake), input_gradient_norm=norm)
        of_g.zero_grad()
        softplus(-d(fake)).mean().backward()
        of_g.step()
        for change in changes:
            print(f"step {step}: {change.name}: {change.action}: {change.reason}")
    if recorder is not None:
        recorder.close()
    print(control.report())


if __name__ == "__main__":
    main()
