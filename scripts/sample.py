"""python scripts/sample.py run=RUN_FOLDER n=64 seed=0: pictures from a finished run."""

from difflab.runs import run

if __name__ == "__main__":
    run("sample", "difflab.runs.sample")
