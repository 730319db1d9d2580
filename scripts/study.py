"""python scripts/study.py runs=FOLDER study=NAME: pictures and figures about finished runs, or a sweep."""

from difflab.runs import run

if __name__ == "__main__":
    run("study", "difflab.runs.study")
