# SPDX-License-Identifier: GPL-2.0-only
"""Pictures of a suite: every run of every row beside its goal, and its curves."""

import subprocess

HEAD = """\
set terminal pngcairo size {width},{height} font "sans,12" linewidth 1.5
set output "{name}.png"
set grid lc rgb "#dddddd"
set border 3
set tics nomirror
"""

COLOURS = ("#2166ac", "#b2182b", "#4d9221", "#8c510a", "#762a83", "#444444")


def quoted(text):
    """For gnuplot: no markup, and nothing that ends the string."""
    return '"' + text.replace("\\", "").replace('"', "'") + '"'


def gnuplot(folder, name, script):
    (folder / f"{name}.gp").write_text(script)
    subprocess.run(["gnuplot", f"{name}.gp"], cwd=folder, check=True)


def draw(folder, suite, results, samples):
    draw_goals(folder, suite, results, samples)
    for name, curve in merged_curves(samples).items():
        draw_curve(folder, f"{suite}-{name}", curve)


def draw_goals(folder, suite, results, samples):
    """Each run as a share of the goal, turned so that less is better."""
    judged = [entry for entry in results if entry["goal"] and entry["value"] > 0]
    if not judged:
        return
    lines, tics = [], []
    for place, entry in enumerate(reversed(judged), 1):
        tics.append(f"{quoted(entry['name'])} {place}")
        values = [sample["value"] for sample in samples[entry["name"]]]
        for kind, some in enumerate(([entry["value"]], values)):
            for value in (value for value in some if value > 0):
                lower = entry["better"] == "lower"
                share = value / entry["goal"] if lower else entry["goal"] / value
                lines.append(f"{share:.6g} {place} {kind}")
    (folder / f"{suite}.dat").write_text("\n".join(lines) + "\n")
    script = HEAD.format(width=900, height=160 + 38 * len(judged), name=suite) + f"""\
set title {quoted(f"{suite}: each run as a share of its goal; left of the line it is met")} noenhanced
set logscale x 2
set ytics ({", ".join(tics)}) noenhanced
set yrange [0.4:{len(judged) + 0.6}]
set key off
set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "#444444" dt 2
plot "{suite}.dat" using 1:($3 == 1 ? $2 : 1/0) with points pt 6 ps 1 lc rgb "#92c5de", \\
	"" using 1:($3 == 0 ? $2 : 1/0) with points pt 7 ps 1.6 lc rgb "#2166ac"
"""
    gnuplot(folder, suite, script)


def merged_curves(samples):
    """The curves of all samples by picture; of each line the last run's points."""
    curves = {}
    for sample in (sample for runs in samples.values() for sample in runs):
        for name, curve in sample.get("curves", {}).items():
            into = curves.setdefault(name, curve | {"lines": {}})
            into["lines"] |= curve["lines"]
    return curves


def draw_curve(folder, name, curve):
    blocks, plots = [], []
    for number, (title, points) in enumerate(curve["lines"].items()):
        blocks.append("\n".join(f"{x:.8g} {y:.8g}" for x, y in points))
        colour = COLOURS[number % len(COLOURS)]
        plots.append(
            f'"{name}.dat" index {number} with linespoints pt 7 ps 0.6'
            f' lc rgb "{colour}" title {quoted(title)} noenhanced'
        )
    (folder / f"{name}.dat").write_text("\n\n\n".join(blocks) + "\n")
    script = HEAD.format(width=800, height=480, name=name) + f"""\
set xlabel {quoted(curve["x"])} noenhanced
set ylabel {quoted(curve["y"])} noenhanced
set yrange [0:*]
set key bottom right
plot {", ".join(plots)}
"""
    gnuplot(folder, name, script)
