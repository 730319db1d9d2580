"""python scripts/benchmark.py [rows=[train,sampling]] [out=FILE.json]: what difflab costs, against peers and limits.

Each row: ours, peer, ratio, limit, target, met. Sides take turns and medians are compared; absolute times differ from
machine to machine, ratios are what counts. Peers: pip install 'difflab[bench]'.
"""

from difflab.runs import run

if __name__ == "__main__":
    run("benchmark", "difflab.runs.benchmark")
