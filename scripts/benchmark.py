"""python scripts/benchmark.py [rows=[overhead]] [out=FILE.json]: what difflab costs, measured against bare loops.

Each row: ours, peer, ratio, limit, target, met. Repetitions are interleaved, medians are compared; absolute times
differ from machine to machine, ratios are what counts.
"""

from difflab.runs import run

if __name__ == "__main__":
    run("benchmark", "difflab.runs.benchmark")
