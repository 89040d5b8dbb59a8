#!/usr/bin/env python3
"""A flame graph of what `perf` saw: `perf script | loadtest/flamegraph.py > flamegraph.svg`.

Each box is a function, as wide as the share of samples in which it or what it called was running; who calls stands
below. With `--shares` it prints instead what the named groups of functions take, each sample counted once, for the first
group that has a function of its stack.
"""

import html
import re
import sys

WIDTH, HEIGHT, MARGIN = 1200, 16, 24
# Narrower boxes than this many pixels are left out.
LEAST = 0.4

# What a sample is for: the first group whose pattern finds a function of the stack.
GROUPS = [
    ("allocating memory", r"^mi_|_mi_|^malloc$|^free$|^cfree|_int_malloc|_int_free|realloc|malloc_consolidate"),
    ("log line", r"telemetry::json|telemetry::lines|telemetry::redact"),
    ("tracing span", r"tracing|sharded_slab"),
    ("metrics and usage", r"metrics|usage::Usage"),
    ("token", r"tokens::|sha2::"),
    ("member status", r"standing::"),
    ("throttle", r"throttle"),
    ("signing", r"signing::|ecdsa|EVP_|RSA_|bn_|ec_GF"),
    ("statement and rows", r"fetch::|postgres|videos::reads"),
    ("system: sockets, waking, switching", r"entry_SYSCALL|do_syscall|\[k\]|_raw_spin|finish_task_switch|epoll|tcp_|__send|recv|writev"),
    ("JSON", r"serde_json"),
    ("HTTP: hyper", r"hyper|httparse"),
    ("routes and layers: axum, tower", r"axum|tower|matchit|server::"),
    ("tasks: tokio", r"tokio"),
]


def stacks(lines):
    """The stacks of `perf script`, outermost function first."""
    stack = []
    for line in lines:
        if not line.strip():
            if stack:
                yield stack[::-1]
            stack = []
        elif line[0] in "\t " and (frame := re.match(r"\s+[0-9a-f]+ (.+) \((.*)\)$", line.rstrip())):
            name = re.sub(r"\+0x[0-9a-f]+$", "", frame[1])
            stack.append("[k] " + name if "kernel" in frame[2] or frame[2] == "[unknown]" and "ffff" in line else name)
    if stack:
        yield stack[::-1]


def grow(tree, stack):
    tree["samples"] += 1
    for name in stack:
        tree = tree["calls"].setdefault(name, {"samples": 0, "calls": {}})
        tree["samples"] += 1


def depth(tree):
    return 1 + max((depth(call) for call in tree["calls"].values()), default=0)


def draw(tree, x, level, scale, total, top, out):
    for name, call in sorted(tree["calls"].items()):
        width = call["samples"] * scale
        if width >= LEAST:
            y = top - level * HEIGHT
            shade = sum(map(ord, name)) % 60
            colour = f"rgb(90,{130 + shade},{200 - shade})" if name.startswith("[k]") else f"rgb({205 + shade % 50},{110 + shade},60)"
            title = html.escape(f"{name}: {100 * call['samples'] / total:.2f} %")
            text = html.escape(name[: int(width / 6.5)]) if width > 30 else ""
            out.append(
                f'<g><title>{title}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT - 1}" '
                f'fill="{colour}"/><text x="{x + 2:.1f}" y="{y + 11}">{text}</text></g>'
            )
            draw(call, x, level + 1, scale, total, top, out)
        x += width


def picture(tree):
    high = depth(tree) * HEIGHT + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" font-family="monospace" font-size="10">',
        f'<rect width="{WIDTH}" height="{high}" fill="#fff"/>',
        f'<text x="8" y="15">{tree["samples"]} samples; hover for names and shares; blue is the system</text>',
    ]
    draw(tree, 0, 1, WIDTH / tree["samples"], tree["samples"], high - MARGIN, out)
    return "\n".join(out + ["</svg>"])


def shares(seen):
    count = dict.fromkeys([name for name, _ in GROUPS] + ["other"], 0)
    for stack in seen:
        count[next((name for name, pattern in GROUPS if any(re.search(pattern, f) for f in stack)), "other")] += 1
    total = sum(count.values())
    return "\n".join(f"{100 * n / total:5.1f} %  {name}" for name, n in sorted(count.items(), key=lambda one: -one[1]))


def main():
    seen = list(stacks(sys.stdin))
    if not seen:
        sys.exit("perf script gave no stacks: record with `perf record --call-graph`")
    if "--shares" in sys.argv:
        print(shares(seen))
        return
    tree = {"samples": 0, "calls": {}}
    for stack in seen:
        grow(tree, stack)
    print(picture(tree))


if __name__ == "__main__":
    main()
