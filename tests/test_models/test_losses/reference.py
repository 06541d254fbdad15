"""Slow references: plain Python loops over floats, no tensor maths."""

import math


def cosine(x, p):
    """Cosine similarity of two sequences of floats."""
    dot = sum(a * b for a, b in zip(x, p, strict=True))
    return dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in p))


def similarities(tokens, prompts, scale=1.0):
    """All pairs, as nested lists."""
    return [
        [scale * cosine(x, p) for p in prompts.tolist()]
        for x in tokens.tolist()
    ]


def proxy_anchor(s, target, guided, alpha, margin, positive_mean):
    """Eq. 4 prompt by prompt."""
    pull = push = 0.0
    num_positive = num_prompts = 0
    for p, is_guided in enumerate(guided):
        if not is_guided:
            continue
        num_prompts += 1
        inside = [s[b][p] for b, t in enumerate(target) if t == p]
        outside = [s[b][p] for b, t in enumerate(target) if t not in (p, -1)]
        if inside:
            num_positive += 1
            pull += math.log(
                1 + sum(math.exp(-alpha * (v - margin)) for v in inside)
            )
        push += math.log(
            1 + sum(math.exp(alpha * (v + margin)) for v in outside)
        )
    if positive_mean == 'all':
        num_positive = num_prompts
    return pull / max(num_positive, 1) + push / max(num_prompts, 1)


def proxy_nca(s, target, guided, alpha, margin):
    """The variant with the sum over prompts, sample by sample."""
    terms = []
    for row, t in zip(s, target, strict=True):
        if t == -1:
            continue
        own = math.exp(-alpha * (row[t] - margin)) if guided[t] else 0.0
        others = sum(
            math.exp(alpha * (v + margin))
            for p, v in enumerate(row)
            if guided[p] and p != t
        )
        terms.append(math.log(1 + own) + math.log(1 + others))
    return sum(terms) / max(len(terms), 1)


def softmax(s, target, guided, temperature):
    """The cross-entropy sample by sample."""
    terms = []
    for row, t in zip(s, target, strict=True):
        if t == -1:
            continue
        own = row[t] if guided[t] else 0.0
        others = sum(
            math.exp((v - own) / temperature)
            for p, v in enumerate(row)
            if guided[p] and p != t
        )
        terms.append(math.log(1 + others))
    return sum(terms) / max(len(terms), 1)


def triplet(s, target, guided, margin):
    """The hinge pair by pair."""
    terms = [
        max(0.0, v - row[t] + margin)
        for row, t in zip(s, target, strict=True)
        if t >= 0 and guided[t]
        for p, v in enumerate(row)
        if guided[p] and p != t
    ]
    return sum(terms) / max(len(terms), 1)


def released(layers, target, guided):
    """Compute the loss of the released code (docs/deviations.md).

    Written from the formulas alone, with nothing of the functions above. The
    token is the mean of a block's raw patches; it and the query of [CLS] are
    unit vectors, the raw prompt a unit vector times 5; the exponents are
    -32 (s - 0.1) for the samples of a prompt's classes and 32 (s + 0.1) for
    the others; both sums over prompts are divided by the number of all.

    Args:
        layers: Of each guided layer nested lists 'patch_raw' (B, N, C),
            'cls_query' (B, C) and 'prompt_raw' (P, C).
        target: Prompt of each sample, or -1 for one that takes no part.
        guided: Whether each prompt is guided.

    Returns:
        The terms of tokens and of [CLS], without weights.
    """
    totals = [0.0, 0.0]
    for layer in layers:
        means = []
        for patches in layer['patch_raw']:
            mean = [0.0] * len(patches[0])
            for patch in patches:
                for c, value in enumerate(patch):
                    mean[c] += value / len(patches)
            means.append(mean)
        for term, vectors in enumerate([means, layer['cls_query']]):
            loss, count = 0.0, 0
            for p, prompt in enumerate(layer['prompt_raw']):
                if not guided[p]:
                    continue
                count += 1
                positive = negative = 1.0
                for x, t in zip(vectors, target, strict=True):
                    if t == -1:
                        continue
                    length_x = math.sqrt(sum(v * v for v in x))
                    length_p = math.sqrt(sum(v * v for v in prompt))
                    s = 0.0
                    for a, b in zip(x, prompt, strict=True):
                        s += (a / length_x) * (5 * b / length_p)
                    if t == p:
                        positive += math.exp(-32 * (s - 0.1))
                    else:
                        negative += math.exp(32 * (s + 0.1))
                loss += math.log(positive) + math.log(negative)
            totals[term] += loss / count / len(layers)
    return totals
