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
