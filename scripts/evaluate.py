"""python scripts/evaluate.py run=RUN_FOLDER likelihood=exact sampler.steps=10,20,50: figures of a finished run."""

from difflab.runs import run

if __name__ == "__main__":
    run("evaluate", "difflab.runs.evaluate")
