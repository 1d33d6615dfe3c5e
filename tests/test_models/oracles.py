"""The equations of AllSpark, written out slowly and independently of the package.

Everything is numpy in float64. Legend: N tokens, E channels, K classes, m query and n key channels.
"""

import math

import numpy as np

PSI_EPS = 1e-5


def attention(query, key, value):
    """softmax(psi(Q K^T)) V for (m, N), (n, N), (n, N)."""
    m, n, tokens = len(query), len(key), query.shape[1]
    affinity = [[sum(query[i, t] * key[j, t] for t in range(tokens)) for j in range(n)] for i in range(m)]
    entries = [entry for row in affinity for entry in row]
    mean = sum(entries) / len(entries)
    variance = sum((entry - mean) ** 2 for entry in entries) / len(entries)
    out = np.zeros((m, tokens))
    for i in range(m):
        exponentials = [math.exp((entry - mean) / math.sqrt(variance + PSI_EPS)) for entry in affinity[i]]
        for j in range(n):
            out[i] += exponentials[j] / sum(exponentials) * value[j]
    return out


def array(tensor):
    return tensor.detach().double().numpy()


def project(layer, tokens):
    """Linear layer without bias on (N, E), as channels (E', N)."""
    return array(layer.weight) @ tokens.T


def self_attention(module, tokens):
    """(N, E) of one image; heads are merged interleaved: output channel = e * h + head."""
    query, key, value = (project(layer, tokens) for layer in (module.q, module.k, module.v))
    width, heads = tokens.shape[1], module.num_heads
    merged = np.zeros((width * heads, len(tokens)))
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        out = attention(query[part], key[part], value[part])
        for channel in range(width):
            merged[channel * heads + head] = out[channel]
    return project(module.out, merged.T).T


def cross_attention(module, tokens, sources):
    """(N, E) of one image over all channels of the (N, E) maps in ``sources``, as one wide head."""
    key = np.concatenate([project(module.k, source) for source in sources])
    value = np.concatenate([project(module.v, source) for source in sources])
    return project(module.out, attention(project(module.q, tokens), key, value).T).T


def grouping(tokens, maps, similarity):
    """(N, E) tokens and (K, N) maps of one image -> class of each channel."""
    classes = []
    for channel in tokens.T:
        scores = []
        for row in maps:
            score = sum(p * h for p, h in zip(row, channel, strict=True))
            if similarity == "cosine":
                score /= math.sqrt(sum(row**2)) * math.sqrt(sum(channel**2))
            scores.append(score)
        classes.append(scores.index(max(scores)))
    return classes


class Ring:
    """The memory as slots and a pointer per class."""

    def __init__(self, memory):
        self.slots = array(memory.queue).copy()
        self.pointer = memory.pointer.tolist()
        self.enqueued = memory.enqueued.tolist()

    def write(self, tokens, classes):
        """Images of (N, C) tokens and the class of each of their channels."""
        for image, image_classes in zip(tokens, classes, strict=True):
            for channel, kind in enumerate(image_classes):
                self.slots[kind, self.pointer[kind]] = image[:, channel]
                self.pointer[kind] = (self.pointer[kind] + 1) % self.slots.shape[1]
                self.enqueued[kind] += 1

    def maps(self):
        """One (N, M) map per class."""
        return [slots.T for slots in self.slots]


def gelu(x):
    return 0.5 * x * (1.0 + np.vectorize(math.erf)(x / math.sqrt(2.0)))


def layer_norm(tokens, layer, eps=1e-6):
    mean, variance = tokens.mean(axis=1, keepdims=True), tokens.var(axis=1, keepdims=True)
    return (tokens - mean) / np.sqrt(variance + eps) * array(layer.weight) + array(layer.bias)


def conv1x1(layer, tokens):
    return tokens @ array(layer.weight)[:, :, 0, 0].T + array(layer.bias)


def neck(module, level, reborn):
    """The frame of the neck: (B, C, H, W) in and out; ``reborn`` maps normalised to new tokens, image by image."""
    images = [image.reshape(len(image), -1).T for image in array(level)]
    residual = [gelu(conv1x1(module.map_in[0], image)) for image in images]
    changed = reborn([layer_norm(image, module.token_norm) for image in residual])
    out = [layer_norm(a + b, module.out_norm) for a, b in zip(changed, residual, strict=True)]
    return np.stack([gelu(conv1x1(module.map_out[0], image)).T.reshape(level.shape[1:]) for image in out])
