"""A training step of each recipe, beside the same step in PyTorch, in one run.

    python3 -m venv .venv && .venv/bin/pip install torch numpy safetensors
    .venv/bin/python peers/step.py [NETWORK …] [--rounds 5] [--steps 20]

Both start from the same weights and the same batch, which the Rust side writes; the first losses must
agree, so that it is the same work. The two take turns, round by round, with the same number of threads;
medians over the rounds. Each round is a process of its own, so that its peak of memory is too: that of the whole
process, libraries included, and what training adds to what was held before the first step.
"""

import argparse
import copy
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = "2"
os.environ.update(OMP_NUM_THREADS=THREADS, RAYON_NUM_THREADS=THREADS)
# Losses of single precision after a few steps; Adam's first steps are of one size whatever the gradient,
# so that a gradient's rounding shows from the second step on.
FIRST, LATER = 1e-4, 5e-3


def torch_step(network, arm, folder):
    """One step of the network as a function that returns its losses."""
    import numpy
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file
    from torch import nn
    from torch.nn.utils import parametrizations, parametrize

    torch.set_num_threads(int(THREADS))

    def floats(name, *shape):
        return torch.from_numpy(numpy.fromfile(folder / f"{name}.bin", "<f4").reshape(shape))

    def classes(name):
        return torch.from_numpy(numpy.fromfile(folder / f"{name}.bin", "<i4")).long()

    def prepared(module, name, held):
        """With the Rust side's weights, and normalized where the arm says so."""
        module.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=False)
        if held and arm == "always":
            for layer in module.modules():
                if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
                    parametrizations.spectral_norm(layer)
        return module

    halving = lambda i, o: nn.Conv2d(i, o, 4, 2, 1)
    keeping = lambda i, o: nn.Conv2d(i, o, 3, 1, 1)
    doubling = lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1)

    class ConditionalNorm(nn.Module):
        def __init__(self, features):
            super().__init__()
            self.norm = nn.BatchNorm2d(features, affine=False)
            self.gains = nn.Parameter(torch.ones(10 * features))
            self.offsets = nn.Parameter(torch.zeros(10 * features))

        def forward(self, x, y):
            of_each = lambda values: values.view(10, -1)[y][:, :, None, None]
            return self.norm(x) * of_each(self.gains) + of_each(self.offsets)

    class Generator(nn.Module):
        def __init__(self, c, by_class):
            super().__init__()
            norm = ConditionalNorm if by_class else nn.BatchNorm2d
            self.project, self.norm1 = nn.Linear(64, 2 * c * 49), norm(2 * c)
            self.up1, self.norm2, self.up2 = doubling(2 * c, c), norm(c), doubling(c, 1)

        def forward(self, z, *y):
            x = F.relu(self.norm1(self.project(z).view(len(z), -1, 7, 7), *y))
            return torch.tanh(self.up2(F.relu(self.norm2(self.up1(x), *y))))

    class Discriminator(nn.Module):
        def __init__(self, c, by_class):
            super().__init__()
            self.down1, self.down2, self.keep = halving(1, c), halving(c, 2 * c), keeping(2 * c, 4 * c)
            self.logit = nn.Linear(4 * c * 49, 1)
            if by_class:
                setattr(self, "class", nn.Embedding(10, 4 * c * 49))

        def forward(self, x, *y):
            for layer in [self.down1, self.down2, self.keep]:
                x = F.leaky_relu(layer(x), 0.1)
            x = x.flatten(1)
            along = sum((getattr(self, "class")(y) * x).sum(1, keepdim=True) for y in y)
            return self.logit(x) + along

    class UNet(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.down1, self.down2, self.middle = halving(1, c), halving(c, 2 * c), keeping(2 * c, 2 * c)
            self.up1, self.up2, self.last = doubling(4 * c, c), doubling(2 * c, c), keeping(c + 1, 3)
            self.norm_down2, self.norm_middle = nn.BatchNorm2d(2 * c), nn.BatchNorm2d(2 * c)
            self.norm_up1, self.norm_up2 = nn.BatchNorm2d(c), nn.BatchNorm2d(c)

        def forward(self, images):
            half = F.leaky_relu(self.down1(images), 0.2)
            quarter = F.leaky_relu(self.norm_down2(self.down2(half)), 0.2)
            x = F.relu(self.norm_middle(self.middle(quarter)))
            x = F.relu(self.norm_up1(self.up1(torch.cat([x, quarter], 1))))
            x = F.relu(self.norm_up2(self.up2(torch.cat([x, half], 1))))
            return torch.tanh(self.last(torch.cat([x, images], 1)))

    class Patches(nn.Module):
        def __init__(self, c):
            super().__init__()
            self.down1, self.down2, self.logits = halving(4, c), halving(c, 2 * c), keeping(2 * c, 1)

        def forward(self, images, inputs):
            x = F.leaky_relu(self.down1(torch.cat([inputs, images], 1)), 0.2)
            return self.logits(F.leaky_relu(self.down2(x), 0.2)).flatten(1)

    class Convolved(nn.Module):
        def __init__(self, i, o, kernel, stride):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(i, o, kernel, stride, kernel // 2), nn.BatchNorm2d(o)

        def forward(self, x):
            return self.norm(self.conv(x))

    class Block(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.first, self.second = Convolved(i, o, 3, stride), Convolved(o, o, 3, 1)
            self.shortcut = Convolved(i, o, 1, stride) if i != o or stride > 1 else None

        def forward(self, x):
            past = self.shortcut(x) if self.shortcut else x
            return F.relu(self.second(F.relu(self.first(x))) + past)

    class ResNet(nn.Module):
        def __init__(self, widths):
            super().__init__()
            self.stem = Convolved(1, widths[0], 3, 2)
            pairs = zip([widths[0], *widths], widths)
            self.blocks = nn.ModuleList(Block(i, o, 1 + (n > 0)) for n, (i, o) in enumerate(pairs))
            self.head = nn.Linear(widths[-1], 10)

        def forward(self, x):
            x = F.relu(self.stem(x))
            for block in self.blocks:
                x = block(x)
            return self.head(x.flatten(2).mean(2))

    class Mlp(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))

        def forward(self, x):
            x = x.flatten(1)
            for index, layer in enumerate(self.layers):
                x = layer(F.relu(x) if index else x)
            return x

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
            self.heads = heads

        def forward(self, x, seen, mask):
            by_head = lambda x: x.unflatten(2, (self.heads, -1)).transpose(1, 2)
            parts = [by_head(self.query(x)), by_head(self.key(seen)), by_head(self.value(seen))]
            found = F.scaled_dot_product_attention(*parts, attn_mask=mask)
            return self.output(found.transpose(1, 2).flatten(2))

    class Residual(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.norm = nn.LayerNorm(width)

        def forward(self, x, part):
            return x + part(self.norm(x))

    class FeedForward(nn.Module):
        def __init__(self, width, inner):
            super().__init__()
            self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)

        def forward(self, x):
            return self.second(F.relu(self.first(x)))

    class Layer(nn.Module):
        def __init__(self, width, heads, inner, is_decoder):
            super().__init__()
            self.attention, self.around_attention = Attention(width, heads), Residual(width)
            if is_decoder:
                self.cross, self.around_cross = Attention(width, heads), Residual(width)
            self.feed_forward, self.around_feed_forward = FeedForward(width, inner), Residual(width)

        def forward(self, x, mask, encoded=None, of_source=None):
            x = self.around_attention(x, lambda x: self.attention(x, x, mask))
            if encoded is not None:
                x = self.around_cross(x, lambda x: self.cross(x, encoded, of_source))
            return self.around_feed_forward(x, self.feed_forward)

    class Transformer(nn.Module):
        def __init__(self, subwords, width, heads, inner, layers):
            super().__init__()
            self.embedding = nn.Embedding(subwords, width)
            stack = lambda is_decoder: nn.ModuleList(Layer(width, heads, inner, is_decoder) for _ in range(layers))
            self.encoder, self.encoder_norm = stack(False), nn.LayerNorm(width)
            self.decoder, self.decoder_norm = stack(True), nn.LayerNorm(width)
            place, index = torch.arange(64.0)[:, None], torch.arange(0, width, 2)
            angles = place / 10_000 ** (index / width)
            self.places = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)

        def embed(self, ids):
            return self.embedding(ids) * self.places.shape[1] ** 0.5 + self.places[:ids.shape[1]]

        def forward(self, source, target, of_source, of_target):
            encoded, x = self.embed(source), self.embed(target)
            for layer in self.encoder:
                encoded = layer(encoded, of_source)
            encoded = self.encoder_norm(encoded)
            for layer in self.decoder:
                x = layer(x, of_target, encoded, of_source)
            return self.decoder_norm(x)

    def adversarial(g, d, real, inputs, rate, decay, beside=lambda images: 0.0, of=lambda _: ()):
        """`inputs` of the generator; `of(parts)` is what the discriminator sees beside the images."""
        g, d = prepared(g, "generator", False), prepared(d, "discriminator", True)
        adam = lambda network: torch.optim.Adam(network.parameters(), rate, betas=(0.5, 0.999))
        of_g, of_d = adam(g), adam(d)
        average, updates = copy.deepcopy(g), 0

        def step():
            nonlocal updates
            fake = g(*inputs).detach()
            real_logits, fake_logits = d(torch.cat([real, fake]), *of(2)).chunk(2)
            judged = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
            of_d.zero_grad()
            judged.backward()
            of_d.step()
            # The discriminator's weights are constants here, as on the Rust side.
            d.requires_grad_(False)
            images = g(*inputs)
            made, second = -d(images, *of(1)).mean(), beside(images)
            of_g.zero_grad()
            (made + second).backward()
            of_g.step()
            d.requires_grad_(True)
            updates += 1
            with torch.no_grad():
                share = (1 - decay) / (1 - decay**updates)
                values = list(g.parameters()) + [b for b in g.buffers() if b.is_floating_point()]
                held = list(average.parameters()) + [b for b in average.buffers() if b.is_floating_point()]
                torch._foreach_lerp_(held, values, share)
            return [judged.item(), made.item()]

        return step

    def supervised(network, loss, rate, betas=(0.9, 0.999), eps=1e-8):
        adam = torch.optim.Adam(network.parameters(), rate, betas, eps)

        def step():
            value = loss(network)
            adam.zero_grad()
            value.backward()
            adam.step()
            return [value.item()]

        return step

    if network in ["gan-quick", "gan-standard", "cgan-quick"]:
        g, d, batch, rate, decay = (64, 32, 32, 2e-4, 0.999) if "standard" in network else (32, 16, 16, 3e-4, 0.995)
        by_class = network.startswith("cgan")
        y = [classes("classes")] if by_class else []
        return adversarial(Generator(g, by_class), Discriminator(d, by_class),
                           floats("real", batch, 1, 28, 28), [floats("latents", batch, 64), *y],
                           rate, decay, of=lambda parts: [y.repeat(parts) for y in y])
    if network == "translate-quick":
        inputs, real = floats("inputs", 16, 1, 28, 28), floats("real", 16, 3, 28, 28)
        return adversarial(UNet(16), Patches(16), real, [inputs], 3e-4, 0.995,
                           beside=lambda images: 10 * (images - real).abs().mean(),
                           of=lambda parts: [inputs.repeat(parts, 1, 1, 1)])
    if network in ["resnet-quick", "mlp-standard"]:
        model = ResNet([16, 32, 64]) if network == "resnet-quick" else Mlp([784, 512, 512, 512, 10])
        images, labels = floats("images", 64, 1, 28, 28), classes("classes")
        loss = lambda model: F.cross_entropy(model(images), labels)
        return supervised(prepared(model, "network", True), loss, 1e-3)
    if network == "control-quick":
        model = prepared(Mlp([4, 128, 128, 2]), "network", True)
        target = prepared(Mlp([4, 128, 128, 2]), "network", False)
        seen, later = floats("observations", 64, 4), floats("next", 64, 4)
        rewards, actions = floats("rewards", 64, 1), classes("actions")[:, None]

        def loss(model):
            with torch.no_grad():
                chosen = model(later).argmax(1, keepdim=True)
                expected = rewards + 0.99 * target(later).gather(1, chosen)
            return F.huber_loss(model(seen).gather(1, actions), expected, delta=100.0)

        return supervised(model, loss, 1e-3)
    if network == "nmt-quick":
        model = prepared(Transformer(6000, 128, 4, 512, 3), "network", True)
        ids, row, place = classes("ids").view(32, 2, 12), torch.arange(32)[:, None], torch.arange(12)
        in_source, in_target = place < 12 - row % 4, place < 12 - row % 3
        source, wanted = ids[:, 0] * in_source, ids[:, 1] * in_target
        # 1 begins a translation.
        target = torch.cat([torch.ones(32, 1).long(), ids[:, 1, :-1]], 1) * in_target
        of_source = in_source[:, None, None]
        of_target = in_target[:, None, None] & (place <= place[:, None])

        def loss(model):
            # The table is read three times.
            with parametrize.cached():
                rows = model(source, target, of_source, of_target)[in_target]
                return F.cross_entropy(rows @ model.embedding.weight.T, wanted[in_target], label_smoothing=0.1)

        return supervised(model, loss, 2e-3, (0.9, 0.98), 1e-9)
    sys.exit(f"there is no network {network}")


def memory_mib(name):
    """A line of the process's status: VmRSS is what it holds, VmHWM the largest since the peak was set back."""
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) / 1024


def run_torch(network, arm, steps, folder):
    step = torch_step(network, arm, pathlib.Path(folder))
    before = memory_mib("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    losses, times = [], []
    for _ in range(steps):
        start = time.perf_counter()
        losses.append(step())
        times.append(1e3 * (time.perf_counter() - start))
    peak = memory_mib("VmHWM")
    print(json.dumps({"ms": statistics.median(times[1:]), "losses": losses[:3],
                      "peak_mib": peak, "added_mib": peak - before}))


def build():
    # The whole workspace, so that Burn is built with the features that the other commands use.
    command = ["cargo", "build", "--release", "--quiet", "--workspace", "--example", "step"]
    subprocess.run(command, check=True)


def one_round(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def agree(ours, theirs):
    """Whether the losses of the first steps are the same up to rounding."""
    off = lambda a, b: abs(a - b) / max(1.0, abs(b))
    worst = [max(off(a, b) for a, b in zip(x, y)) for x, y in zip(ours, theirs)]
    return worst[0] <= FIRST and max(worst) <= LATER, worst


NETWORKS = ["gan-quick", "gan-standard", "cgan-quick", "translate-quick", "resnet-quick",
            "mlp-standard", "control-quick", "nmt-quick"]
# Ours, theirs: without any constraint, measured only beside nothing, and normalized at every step.
ARMS = [("without", "without"), ("never", "without"), ("always", "always"), ("auto", "always")]


def compare(network, rounds, steps):
    steps = steps * 20 if network == "control-quick" else steps
    with tempfile.TemporaryDirectory() as folder:
        programs = os.environ.get("CARGO_TARGET_DIR", "target")
        program = f"{programs}/release/examples/step"
        one_round([program, network, "without", "2", folder])
        results = {}
        for _ in range(rounds):
            for arm in dict.fromkeys(ours for ours, _ in ARMS):
                command = [program, network, arm, str(steps)]
                results.setdefault(("osn", arm), []).append(one_round(command))
            for arm in dict.fromkeys(theirs for _, theirs in ARMS):
                command = [sys.executable, os.path.abspath(__file__), "--torch", network, arm, str(steps), folder]
                results.setdefault(("torch", arm), []).append(one_round(command))
    same, worst = agree(results["osn", "without"][0]["losses"], results["torch", "without"][0]["losses"])
    if not same:
        sys.exit(f"{network}: the first losses differ by {worst}: it is not the same work")
    middle = lambda key, what: statistics.median(result[what] for result in results[key])
    for ours, theirs in ARMS:
        a, b = middle(("osn", ours), "ms"), middle(("torch", theirs), "ms")
        memory = middle(("osn", ours), "peak_mib") / middle(("torch", theirs), "peak_mib")
        training = [middle(("osn", ours), "added_mib"), middle(("torch", theirs), "added_mib")]
        added = 100 * (a / middle(("osn", "without"), "ms") - 1)
        print(f"{network:16} {ours:8} {theirs:8} {a:9.2f} {b:9.2f} {a / b:10.2f} {added:+8.1f} {memory:9.2f} "
              f"{training[0]:9.1f} {training[1]:9.1f}", flush=True)


def main():
    if sys.argv[1:2] == ["--torch"]:
        network, arm, steps, folder = sys.argv[2:]
        return run_torch(network, arm, int(steps), folder)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    build()
    print(f"{platform.machine()}, {THREADS} threads, medians of {arguments.rounds} rounds of {arguments.steps} steps "
          "(control-quick: 20 times as many)")
    print(f"{'network':16} {'osn':8} {'PyTorch':8} {'osn ms':>9} {'torch ms':>9} {'osn/torch':>10} "
          f"{'added %':>8} {'memory':>9} {'osn MiB':>9} {'torch MiB':>9}")
    for network in arguments.networks:
        compare(network, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
